//! Where things stand in the text of a file, for those who render parts of it.

use std::ops::Range;

use granit_parser::ScalarStyle;

use crate::directive::Neutral;
use crate::node::{Kind, Node, block_lines, explicit_indent};
use crate::read::tree;

/// How a text is written in YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStyle {
    /// `|` or `|-`: lines.
    Literal {
        /// Whether the last line break is dropped.
        strip: bool,
    },
    /// `>` or `>-`: lines that are folded.
    Folded {
        /// Whether the last line break is dropped.
        strip: bool,
    },
    /// `'…'` on one line.
    SingleQuoted,
    /// `"…"` on one line.
    DoubleQuoted,
    /// Without quotes, on one line.
    Plain,
}

impl TextStyle {
    /// Whether the text stands in lines of its own, below its key.
    #[must_use]
    pub fn is_block(self) -> bool {
        matches!(self, TextStyle::Literal { .. } | TextStyle::Folded { .. })
    }
}

/// Where things stand in a file with directives.
///
/// ```
/// use api_mock_scenario::{Layout, TextStyle};
/// let file = "path: /\nresponse:\n  contents: |\n    a {{.b}}\n  status_code: 200\n";
/// let layout = Layout::find(file).unwrap();
/// let contents = layout.contents.unwrap();
/// assert_eq!((contents.style, contents.key_indent), (TextStyle::Literal { strip: false }, 2));
/// assert_eq!(&file[contents.at], "    a {{.b}}\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The text of `response.contents`; `None` if it is written in an unusual way.
    pub contents: Option<TextPlace>,
    /// Directives in assertions, which are not for playback.
    pub assertions: Vec<Range<usize>>,
    /// Where `response:` begins, if it begins a line.
    pub response: Option<usize>,
}

/// Where a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPlace {
    /// How it is written.
    pub style: TextStyle,
    /// All of its lines, or what is between its quotes.
    pub at: Range<usize>,
    /// How far its key is indented.
    pub key_indent: usize,
    /// How far its lines are indented, if its header says so (`|4`).
    pub indent: Option<usize>,
}

impl Layout {
    /// Looks at a file; `None` if it can only be read once it is rendered.
    #[must_use]
    pub fn find(source: &str) -> Option<Layout> {
        let neutral = Neutral::new(source);
        let root = tree(source, &neutral)?;
        let response = root.get("response");
        let begin =
            source.find("\nresponse:").map(|at| at + 1).or(source.starts_with("response:").then_some(0));
        let lists =
            [root.get("request"), response].into_iter().flatten().filter_map(|node| node.get("assertions"));
        let mut ranges = Vec::new();
        lists.for_each(|node| collect(node, &mut ranges));
        let inside =
            |at: &&Range<usize>| ranges.iter().any(|range| range.start <= at.start && at.end <= range.end);
        Some(Layout {
            contents: response
                .and_then(|node| node.get("contents"))
                .and_then(|node| contents(source, &neutral, node)),
            assertions: neutral.tokens.iter().chain(&neutral.blanked).filter(inside).cloned().collect(),
            response: begin,
        })
    }
}

fn collect(node: &Node, ranges: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(_) | Kind::Null => ranges.extend(node.at.clone()),
        Kind::List(items) => items.iter().for_each(|item| collect(item, ranges)),
        Kind::Map(entries) => entries.iter().for_each(|(_, node)| collect(node, ranges)),
    }
}

fn contents(source: &str, neutral: &Neutral, node: &Node) -> Option<TextPlace> {
    let Kind::Scalar(scalar) = &node.kind else { return None };
    let at = node.at.clone()?;
    let is_block = matches!(scalar.style, ScalarStyle::Literal | ScalarStyle::Folded);
    let content = if is_block { block_lines(source, &neutral.text, &at) } else { at };
    // The line of the key, up to the value or with the header of the block.
    let head = source.get(..content.start)?;
    let indent = if is_block { explicit_indent(head) } else { None };
    let head = if is_block { head.strip_suffix('\n')? } else { head };
    let line = head.rsplit('\n').next()?;
    let key_indent = line.len() - line.trim_start_matches(' ').len();
    let header = line.trim().strip_prefix("contents:")?.trim();
    // A digit in it was read already.
    let header: String = header.chars().filter(|c| !c.is_ascii_digit()).collect();
    let text = source.get(content.clone())?;
    if !is_block && (!header.is_empty() || text.contains('\n')) {
        return None;
    }
    let quoted = |quote: char| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(content.start + 1..content.start + 1 + inside.len())
    };
    let (style, at) = match (scalar.style, header.as_str()) {
        (ScalarStyle::Literal, "|") => (TextStyle::Literal { strip: false }, content),
        (ScalarStyle::Literal, "|-") => (TextStyle::Literal { strip: true }, content),
        (ScalarStyle::Folded, ">") => (TextStyle::Folded { strip: false }, content),
        (ScalarStyle::Folded, ">-") => (TextStyle::Folded { strip: true }, content),
        (ScalarStyle::SingleQuoted, _) => (TextStyle::SingleQuoted, quoted('\'')?),
        (ScalarStyle::DoubleQuoted, _) => (TextStyle::DoubleQuoted, quoted('"')?),
        (ScalarStyle::Plain, _) => (TextStyle::Plain, content),
        _ => return None,
    };
    Some(TextPlace { style, at, key_indent, indent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(contents: &str) -> Option<(TextStyle, String)> {
        let file = format!("method: GET\nresponse:\n    contents: {contents}\n    status_code: 200\n");
        let place = Layout::find(&file)?.contents?;
        assert_eq!(place.key_indent, 4);
        assert_eq!(place.indent, contents.starts_with("|2").then_some(6));
        Some((place.style, file[place.at].to_owned()))
    }

    #[test]
    fn where_contents_stand() {
        assert_eq!(found("'it''s {{.a}}'"), Some((TextStyle::SingleQuoted, "it''s {{.a}}".into())));
        assert_eq!(found("\"a \\n{{.a}}\""), Some((TextStyle::DoubleQuoted, "a \\n{{.a}}".into())));
        assert_eq!(found("a {{.a}}  # c"), Some((TextStyle::Plain, "a {{.a}}".into())));
        assert_eq!(found("{{.a}}"), Some((TextStyle::Plain, "{{.a}}".into())));
        assert_eq!(
            found(">-\n     {\n{{- range .l}}\n      x\n{{end}}\n     }\n"),
            Some((
                TextStyle::Folded { strip: true },
                "     {\n{{- range .l}}\n      x\n{{end}}\n     }\n".into()
            ))
        );
        // Directives above and below belong to the text as far as they belong together.
        assert_eq!(
            found("|\n{{range .l}}\n      x\n{{end}}\n{{if .y}}\n{{end}}"),
            Some((TextStyle::Literal { strip: false }, "{{range .l}}\n      x\n{{end}}\n".into()))
        );
        assert_eq!(found("|2-\n        x"), Some((TextStyle::Literal { strip: true }, "        x\n".into())));
        for other in ["|+\n      x", "!!str a", "&a b", "'a\n      b'", "[a]", ""] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn directives_in_assertions_are_found() {
        let file =
            "response:\n  assertions:\n    - {{contents.id > 0}}\n    - a {{.b}}\n  contents: {{.c}}\n";
        let layout = Layout::find(file).unwrap();
        let texts: Vec<&str> = layout.assertions.into_iter().map(|at| &file[at]).collect();
        assert_eq!(texts, ["{{contents.id > 0}}", "{{.b}}"]);
        assert_eq!(layout.response, Some(0));
    }
}
