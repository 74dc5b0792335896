//! Trees of YAML and JSON. Unlike typed readers they keep the texts of scalars as they are
//! written, so `1.10` and a bare timestamp can be read as text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::directive::{Neutral, open_directives};
use crate::error::{Problem, ScenarioError};

/// More nodes than any file has; a few aliases can stand for endlessly many.
const NODES: usize = 1_000_000;

/// A value, and where it starts in the text (`None` in JSON).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Option<Range<usize>>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: ScalarStyle,
    /// Tagged as base64.
    pub(crate) binary: bool,
}

impl Node {
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(known, _)| known == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    pub(crate) fn from_json(value: serde_json::Value) -> Node {
        let scalar = |text: String, style| Kind::Scalar(Scalar { text, style, binary: false });
        let kind = match value {
            serde_json::Value::Null => Kind::Null,
            serde_json::Value::Bool(truth) => scalar(truth.to_string(), ScalarStyle::Plain),
            serde_json::Value::Number(number) => scalar(number.to_string(), ScalarStyle::Plain),
            serde_json::Value::String(text) => scalar(text, ScalarStyle::DoubleQuoted),
            serde_json::Value::Array(items) => Kind::List(items.into_iter().map(Node::from_json).collect()),
            serde_json::Value::Object(entries) => {
                Kind::Map(entries.into_iter().map(|(name, value)| (name, Node::from_json(value))).collect())
            }
        };
        Node { at: None, kind }
    }

    /// The same as JSON; plain scalars become what YAML takes them for.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => entries.iter().map(|(name, node)| (name.clone(), node.to_json())).collect(),
            Kind::Scalar(scalar) if scalar.style == ScalarStyle::Plain => {
                let parsed = serde_json::from_str::<serde_json::Value>(&scalar.text).ok();
                parsed.filter(|value| !value.is_string()).unwrap_or_else(|| scalar.text.clone().into())
            }
            Kind::Scalar(scalar) => scalar.text.clone().into(),
        }
    }
}

/// The line of a byte of a text, the first is 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// How to read.
pub(crate) struct Reader<'t> {
    /// The text as it is in the file.
    pub(crate) source: &'t str,
    /// The text without directives.
    pub(crate) neutral: &'t Neutral,
    /// A key may stand twice: one of them is in another branch of the template. The first counts.
    pub(crate) lenient: bool,
}

impl Reader<'_> {
    /// Reads `text`, which is the neutral text or that with parts blanked.
    pub(crate) fn read(&self, text: &str) -> Result<Node, ScenarioError> {
        let options = granit_parser::options! { emit_comments: false };
        let mut tree = Tree {
            reader: self,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            budget: NODES,
        };
        let mut root = Node { at: Some(0..0), kind: Kind::Null };
        let mut documents = 0;
        while let Some((event, span)) = tree.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) => documents += 1,
                _ if documents > 1 => {
                    let line = self.line(&span);
                    return Err(ScenarioError::unexpected(line, "", "a single document", "another one"));
                }
                event => root = tree.node(event, &span)?,
            }
        }
        Ok(root)
    }

    fn line(&self, span: &Span) -> Option<usize> {
        span.byte_range().map(|range| line_of(self.source, range.start))
    }

    fn error(&self, error: &ScanError) -> ScenarioError {
        let line = error.marker().byte_offset().map(|at| line_of(self.source, at));
        ScenarioError::syntax(line, format!("not YAML: {}", error.info()))
    }

    /// The text of a scalar with its directives put back.
    fn restore(&self, text: &str, range: Option<&Range<usize>>, style: ScalarStyle) -> String {
        let Some(range) = range else { return text.to_owned() };
        let inside = |at: &&Range<usize>| range.start <= at.start && at.end <= range.end;
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            let lines = block_lines(self.source, &self.neutral.text, range);
            if self.neutral.blanked.iter().any(|at| lines.start <= at.start && at.end <= lines.end) {
                return block_source(self.source, &self.neutral.text, range);
            }
        }
        if !text.contains(self.neutral.mark) {
            return text.to_owned();
        }
        let mut tokens = self.neutral.tokens.iter().filter(inside);
        let mut restored = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(self.neutral.mark) {
            let Some(token) = tokens.next() else { break };
            restored.push_str(rest.get(..at).unwrap_or_default());
            restored.push_str(self.source.get(token.clone()).unwrap_or_default());
            rest = rest.get(at + token.len()..).unwrap_or_default();
        }
        restored.push_str(rest);
        restored
    }
}

/// The lines of a block scalar as they are in the source, without their indentation.
fn block_source(source: &str, neutral: &str, range: &Range<usize>) -> String {
    let range = block_lines(source, neutral, range);
    let explicit = source.get(..range.start).and_then(explicit_indent);
    let (Some(source), Some(neutral)) = (source.get(range.clone()), neutral.get(range)) else {
        return String::new();
    };
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let first = neutral.lines().find(|line| !line.trim().is_empty()).map_or(0, indent);
    let depth = explicit.unwrap_or(first);
    let lines: Vec<&str> =
        source.lines().map(|line| line.get(indent(line).min(depth)..).unwrap_or_default()).collect();
    let mut text = lines.join("\n");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The indentation of a block that its header says (`|4`), from the text up to the block.
pub(crate) fn explicit_indent(before: &str) -> Option<usize> {
    let line = before.trim_end_matches('\n').rsplit('\n').next()?;
    let header = line.trim_end().trim_end_matches(['-', '+']);
    let digit = header.chars().next_back().and_then(|c| c.to_digit(10))?;
    let marked = header.get(..header.len() - 1)?.ends_with(['|', '>', '-', '+']);
    let parent = line.len() - line.trim_start_matches(' ').len();
    marked.then_some(parent + digit as usize)
}

/// The lines of a block scalar whose content is at `range`: with the directives that steer above
/// it, and those below it that close what is open in it.
pub(crate) fn block_lines(source: &str, neutral: &str, range: &Range<usize>) -> Range<usize> {
    let before = neutral.get(..range.start).unwrap_or_default().trim_end();
    // From the line below the header.
    let start = neutral
        .get(before.len()..)
        .and_then(|rest| rest.find('\n'))
        .map_or(range.start, |at| before.len() + at + 1);
    let content = neutral.get(range.clone()).unwrap_or_default().trim_end().len() + range.start;
    let line_end = |from: usize| {
        neutral.get(from..).and_then(|rest| rest.find('\n')).map_or(neutral.len(), |at| from + at + 1)
    };
    let mut end = line_end(content);
    while end < range.end && open_directives(source.get(start..end).unwrap_or_default()) > 0 {
        end = line_end(end);
    }
    // What stands for a directive has line breaks of its own.
    let rest = source.get(end..).filter(|_| !source.get(..end).is_some_and(|text| text.ends_with('\n')));
    end += rest.map_or(0, |rest| rest.find('\n').map_or(rest.len(), |at| at + 1));
    start..end
}

struct Tree<'t> {
    reader: &'t Reader<'t>,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    budget: usize,
}

impl<'t> Tree<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, ScenarioError> {
        self.parser.next_event().transpose().map_err(|error| self.reader.error(&error))
    }

    fn must_next(&mut self) -> Result<(Event<'t>, Span), ScenarioError> {
        self.next()?.ok_or_else(|| ScenarioError::syntax(None, "not YAML: it ends early"))
    }

    fn spend(&mut self, nodes: usize, span: &Span) -> Result<(), ScenarioError> {
        self.budget = self.budget.checked_sub(nodes).ok_or_else(|| {
            let line = self.reader.line(span);
            ScenarioError::unexpected(line, "", "a file of moderate size", "too many values")
        })?;
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Node, ScenarioError> {
        self.spend(1, span)?;
        let start = span.byte_range();
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let suffix = tag.as_ref().map(|tag| tag.suffix());
                let plain = style == ScalarStyle::Plain && suffix != Some("str");
                let kind = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Null
                } else {
                    let text = self.reader.restore(&text, start.as_ref(), style);
                    Kind::Scalar(Scalar { text, style, binary: suffix == Some("binary") })
                };
                (kind, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Kind::List(self.items()?), anchor),
            Event::MappingStart(_, anchor, _) => (Kind::Map(self.entries()?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| {
                    ScenarioError::syntax(
                        self.reader.line(span),
                        "not YAML: an alias inside what it stands for",
                    )
                })?;
                self.spend(size(&node), span)?;
                return Ok(node);
            }
            _ => return Err(ScenarioError::syntax(self.reader.line(span), "not YAML: a value is missing")),
        };
        let node = Node { at: start, kind };
        if anchor > 0 {
            self.spend(size(&node), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, ScenarioError> {
        let mut items = Vec::new();
        loop {
            match self.must_next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<(String, Node)>, ScenarioError> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.must_next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let name = match self.node(event, &span)?.kind {
                Kind::Scalar(scalar) => scalar.text,
                Kind::Null => "null".to_owned(),
                _ => {
                    let line = self.reader.line(&span);
                    return Err(ScenarioError::unexpected(line, "", "a text as key", "a list or a map"));
                }
            };
            let (event, value_span) = self.must_next()?;
            let value = self.node(event, &value_span)?;
            if name == "<<" {
                merged.push(value);
            } else if known.insert(name.clone()) {
                entries.push((name, value));
            } else if !self.reader.lenient {
                return Err(ScenarioError::new(self.reader.line(&span), name, Problem::Duplicate));
            }
        }
        merged.into_iter().for_each(|node| merge(&mut entries, node));
        Ok(entries)
    }
}

/// Adds the entries of a merge key that are not there yet.
fn merge(entries: &mut Vec<(String, Node)>, node: Node) {
    match node.kind {
        Kind::Map(more) => {
            for (name, node) in more {
                if entries.iter().all(|(known, _)| *known != name) {
                    entries.push((name, node));
                }
            }
        }
        Kind::List(items) => items.into_iter().for_each(|item| merge(entries, item)),
        _ => {}
    }
}

/// What a copy costs: one for each value and for each 64 bytes of text.
fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(scalar) => 1 + scalar.text.len() / 64,
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
        _ => 1,
    }
}
