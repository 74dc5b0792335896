//! The text of a file as a template, and what its rendering leaves behind.

use api_mock_scenario::{directives, nesting};

/// Stands after the last directive of a line that can turn out blank. YAML has no such character,
/// so no file does.
const MARK: u8 = 1;

/// The text with marks. A line that had directives and is blank when it is rendered will be
/// removed, while blank lines that the file has of itself stay.
pub(crate) fn marked(source: &str) -> String {
    let found = directives(source);
    let mut out = String::with_capacity(source.len() + found.len());
    let mut from = 0;
    let mut group = 0;
    while group < found.len() {
        // The directives of one line: from the first up to that after which the line ends.
        let mut last = group;
        while let (Some(at), Some(next)) = (found.get(last), found.get(last + 1)) {
            if source.get(at.end..next.start).is_none_or(|gap| gap.contains('\n')) {
                break;
            }
            last += 1;
        }
        let line = found.get(group..=last).unwrap_or_default();
        if let Some(at) = line.last() {
            let trims = source.get(..at.end).is_some_and(|text| text.ends_with("-}}"));
            out.push_str(source.get(from..at.end).unwrap_or_default());
            if !trims && !is_solid(source, line) {
                out.push(char::from(MARK));
            }
            from = at.end;
        }
        group = last + 1;
    }
    out.push_str(source.get(from..).unwrap_or_default());
    out
}

/// Whether a line has text that does not depend on its own directives.
fn is_solid(source: &str, line: &[std::ops::Range<usize>]) -> bool {
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return false };
    let before = source.get(..first.start).and_then(|text| text.rsplit('\n').next()).unwrap_or_default();
    let after = source.get(last.end..).and_then(|text| text.split('\n').next()).unwrap_or_default();
    if !before.trim().is_empty() {
        return true;
    }
    let mut depth = 0;
    for (place, at) in line.iter().enumerate() {
        depth += source.get(at.clone()).map_or(0, nesting);
        let gap = line.get(place + 1).and_then(|next| source.get(at.end..next.start)).unwrap_or(after);
        if depth <= 0 && !gap.trim().is_empty() {
            return true;
        }
    }
    false
}

/// Removes the marks, and the lines that hold nothing else.
pub(crate) fn clean(rendered: Vec<u8>) -> Vec<u8> {
    if !rendered.contains(&MARK) {
        return rendered;
    }
    let mut out = Vec::with_capacity(rendered.len());
    for line in rendered.split_inclusive(|byte| *byte == b'\n') {
        if !line.contains(&MARK) {
            out.extend_from_slice(line);
        } else if !line.iter().all(|byte| *byte == MARK || byte.is_ascii_whitespace()) {
            out.extend(line.iter().filter(|byte| **byte != MARK));
        }
    }
    out
}

/// The text with some directives blanked.
pub(crate) fn without(source: &str, ranges: &[std::ops::Range<usize>]) -> String {
    let mut bytes = source.as_bytes().to_vec();
    for range in ranges {
        for byte in bytes.get_mut(range.clone()).unwrap_or_default() {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    // Whole directives were replaced, so this is text still.
    String::from_utf8(bytes).unwrap_or_else(|_| source.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_can_turn_out_blank_are_marked() {
        let source = "a: {{.x}}\n{{if .y}}\n  {{- end -}}\n{{if .z}}b{{end}}\n{{if .z}}b{{end}}c\n{{.x}}";
        let wanted =
            "a: {{.x}}\n{{if .y}}\x01\n  {{- end -}}\n{{if .z}}b{{end}}\x01\n{{if .z}}b{{end}}c\n{{.x}}\x01";
        assert_eq!(marked(source), wanted);
    }

    #[test]
    fn blank_lines_of_the_file_stay() {
        let rendered = b"a\n\n \x01\nb\x01 \n\x01\n".to_vec();
        assert_eq!(clean(rendered), b"a\n\nb \n");
    }
}
