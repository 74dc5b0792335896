//! As much of Markdown as is needed to find code, links and headings.

/// Something found on a line (from 1).
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return true,
            _ => {}
        }
        false
    })
}

/// What stands between single backticks.
pub(super) fn code(text: &str) -> Vec<Found> {
    let pieces = |line: usize, of: &str| {
        let found = of.split('`').skip(1).step_by(2).map(|text| Found { line, text: text.to_owned() });
        found.collect::<Vec<_>>()
    };
    prose(text).flat_map(|(line, of)| pieces(line, of)).collect()
}

/// The targets of links and pictures: `[words](target)` and `[name]: target`.
pub(super) fn links(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (line, of) in prose(text) {
        let plain = without_code(of);
        let inline =
            plain.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
        let reference = plain.trim_start().strip_prefix('[').and_then(|rest| Some(rest.split_once("]: ")?.1));
        for target in inline.chain(reference) {
            // A title may follow the address.
            if let Some(target) = target.split_whitespace().next() {
                found.push(Found { line, text: target.trim_matches(['<', '>']).to_owned() });
            }
        }
    }
    found
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchors that headings make, as GitHub makes them.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let Some(title) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        else {
            continue;
        };
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let same = anchors.iter().filter(|other| other.starts_with(&slug)).count();
        let numbered = (0..=same)
            .map(|n| if n == 0 { slug.clone() } else { format!("{slug}-{n}") })
            .find(|anchor| !anchors.contains(anchor));
        anchors.extend(numbered);
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Vec<Found>) -> Vec<String> {
        found.into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn code_links_and_headings_are_found_outside_fences() {
        let text = "# A `b` & C\n`x/y` [l](a.md#b) ![p](p.png \"title\") `[n](no.md)`\n```sh\n`z`\n[z](z)\n# no\n\
                    ```\n[ref]: <other.md>\n## Again\n## Again\n";
        assert_eq!(texts(code(text)), ["b", "x/y", "[n](no.md)"]);
        assert_eq!(texts(links(text)), ["a.md#b", "p.png", "other.md"]);
        assert_eq!(anchors(text), ["a-b--c", "again", "again-1"]);
        assert_eq!(links(text).last().unwrap().line, 8);
    }
}
