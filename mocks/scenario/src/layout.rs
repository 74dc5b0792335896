//! Where things stand in the text of a file, for those who render parts of it.

use std::ops::Range;

use granit_parser::ScalarStyle;

use crate::directive::Neutral;
use crate::node::{Kind, Node, block_lines};
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
/// let (style, at, indent) = layout.contents.unwrap();
/// assert_eq!((style, &file[at], indent), (TextStyle::Literal { strip: false }, "    a {{.b}}\n", 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The text of `response.contents`: how it is written, where (all of its lines, or what is
    /// between its quotes), and how far its key is indented. `None` if it is written in another
    /// way.
    pub contents: Option<(TextStyle, Range<usize>, usize)>,
    /// Directives in assertions, which are not for playback.
    pub assertions: Vec<Range<usize>>,
    /// Where `response:` begins, if it begins a line.
    pub response: Option<usize>,
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

fn contents(source: &str, neutral: &Neutral, node: &Node) -> Option<(TextStyle, Range<usize>, usize)> {
    let Kind::Scalar(scalar) = &node.kind else { return None };
    let at = node.at.clone()?;
    let is_block = matches!(scalar.style, ScalarStyle::Literal | ScalarStyle::Folded);
    let content = if is_block { block_lines(source, &neutral.text, &at) } else { at };
    // The line of the key, up to the value or with the header of the block.
    let head = source.get(..content.start)?;
    let head = if is_block { head.strip_suffix('\n')? } else { head };
    let line = head.rsplit('\n').next()?;
    let indent = line.len() - line.trim_start_matches(' ').len();
    let header = line.trim().strip_prefix("contents:")?.trim();
    let plain = |style| header.is_empty().then_some((style, content.clone(), indent));
    let quoted = |style, quote: char| {
        let text = source.get(content.clone())?;
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (header.is_empty() && !text.contains('\n')).then(|| {
            let start = content.start + 1;
            (style, start..start + inside.len(), indent)
        })
    };
    match (scalar.style, header) {
        (ScalarStyle::Literal, "|") => Some((TextStyle::Literal { strip: false }, content, indent)),
        (ScalarStyle::Literal, "|-") => Some((TextStyle::Literal { strip: true }, content, indent)),
        (ScalarStyle::Folded, ">") => Some((TextStyle::Folded { strip: false }, content, indent)),
        (ScalarStyle::Folded, ">-") => Some((TextStyle::Folded { strip: true }, content, indent)),
        (ScalarStyle::SingleQuoted, _) => quoted(TextStyle::SingleQuoted, '\''),
        (ScalarStyle::DoubleQuoted, _) => quoted(TextStyle::DoubleQuoted, '"'),
        (ScalarStyle::Plain, _) if !source.get(content.clone())?.contains('\n') => plain(TextStyle::Plain),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(contents: &str) -> Option<(TextStyle, String)> {
        let file = format!("method: GET\nresponse:\n    contents: {contents}\n    status_code: 200\n");
        let (style, at, indent) = Layout::find(&file)?.contents?;
        assert_eq!(indent, 4);
        Some((style, file[at].to_owned()))
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
        for other in ["|+\n      x", "|2\n      x", "!!str a", "&a b", "'a\n      b'", "[a]", ""] {
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
