//! Plans as templates that people can read and change.

use std::fmt::Write as _;

use api_mock_scenario::literal;
use serde_json::Value;

use super::{Plan, PlanNode, Text, TextSource};
use crate::schema::pattern_is_plain;

/// How texts are written where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// As they are.
    None,
    /// As content or attribute of XML.
    Xml,
    /// As a name or value of a form.
    Form,
}

/// A template that prints JSON, over several lines.
pub(crate) fn json_template(plan: &Plan) -> String {
    let mut text = String::new();
    json(&mut text, plan, 0);
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

fn json(text: &mut String, plan: &Plan, depth: usize) {
    match &plan.node {
        PlanNode::Literal(value) => json_literal(text, value, depth),
        PlanNode::Choice(values) => text.push_str(&json_choice(values)),
        PlanNode::Text(source) => json_text(text, source),
        PlanNode::Array { prefix, item, min, max } => {
            json_array(text, (prefix, item.as_deref()), (*min, *max), depth);
        }
        PlanNode::Object(members) if members.is_empty() => text.push_str("{}"),
        PlanNode::Object(members) => {
            text.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                new_line(text, depth + 1);
                text.push_str(&literal(&Value::from(&**name).to_string()));
                text.push_str(": ");
                json(text, member, depth + 1);
            }
            new_line(text, depth);
            text.push('}');
        }
        PlanNode::FreeObject => text.push_str("{{RandDict}}"),
        PlanNode::Boolean | PlanNode::Integer { .. } | PlanNode::Fraction { .. } => {
            text.push_str(&scalar(plan))
        }
    }
}

fn json_literal(text: &mut String, value: &Value, depth: usize) {
    let pretty = match value {
        Value::Array(_) | Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        scalar => scalar.to_string(),
    };
    for (at, line) in literal(&pretty).split('\n').enumerate() {
        if at > 0 {
            new_line(text, depth);
        }
        text.push_str(line);
    }
}

fn json_array(
    text: &mut String,
    (prefix, item): (&[std::sync::Arc<Plan>], Option<&Plan>),
    (min, max): (u64, u64),
    depth: usize,
) {
    let placed = prefix.len() as u64;
    if max == 0 {
        text.push_str("[]");
        return;
    }
    text.push('[');
    for (at, plan) in prefix.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        new_line(text, depth + 1);
        json(text, plan, depth + 1);
    }
    if let (Some(item), true) = (item, max > placed) {
        let (low, high) = (min - placed.min(min), max - placed);
        if high == 1 && low == 1 {
            text.push_str(if placed > 0 { "," } else { "" });
            new_line(text, depth + 1);
            json(text, item, depth + 1);
        } else {
            let _ = write!(text, "{{{{range Iterate {}}}}}", count(low, high));
            text.push_str(if placed > 0 { "," } else { "{{if .}},{{end}}" });
            new_line(text, depth + 1);
            json(text, item, depth + 1);
            text.push_str("{{end}}");
        }
    }
    new_line(text, depth);
    text.push(']');
}

/// The argument of `Iterate` for so many rounds.
pub(super) fn count(low: u64, high: u64) -> String {
    if low == high { low.to_string() } else { format!("(RandNumMinMax {low} {})", high + 1) }
}

fn json_text(text: &mut String, source: &Text) {
    if let TextSource::Pattern(fitted) = &source.source
        && !pattern_is_plain(&fitted.text)
    {
        let _ = write!(text, "{{{{JSON (RandRegex {})}}}}", argument(&fitted.text));
        return;
    }
    let _ = write!(text, "\"{}\"", text_source(source));
}

/// The template of a text, without quotes.
fn text_source(text: &Text) -> String {
    match &text.source {
        TextSource::Format(format) => format.template.to_owned(),
        TextSource::Pattern(fitted) => format!("{{{{RandRegex {}}}}}", argument(&fitted.text)),
        TextSource::Characters if text.max == 0 => String::new(),
        TextSource::Characters => format!("{{{{RandStringMinMax {} {}}}}}", text.min, text.max + 1),
        TextSource::Words => "{{RandStringMinMax 0 0}}".to_owned(),
    }
}

/// A text as the argument of a function.
fn argument(text: &str) -> String {
    if text.contains(['`', '\n', '\r']) { Value::from(text).to_string() } else { format!("`{text}`") }
}

/// The template of a scalar other than a text.
fn scalar(plan: &Plan) -> String {
    match &plan.node {
        PlanNode::Boolean => "{{RandBool}}".to_owned(),
        PlanNode::Integer { min, max } => {
            let end = max.saturating_add(1);
            // An end of 0 stands for a default; the two may change places.
            let (from, to) = if end == 0 { (end, *min) } else { (*min, end) };
            format!("{{{{RandNumMinMax {from} {to}}}}}")
        }
        PlanNode::Fraction { min, max } => {
            let (from, to) = if *max == 0.0 { (0.0, *min) } else { (*min, *max) };
            format!("{{{{RandFloatMinMax {from} {to}}}}}")
        }
        _ => String::new(),
    }
}

fn json_choice(values: &[Value]) -> String {
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    if let Some(texts) = texts {
        let plain = |text: &&str| *literal(&Value::from(*text).to_string()).trim_matches('"') == **text;
        if texts.iter().all(plain) {
            return format!("\"{}\"", text_choice(&texts));
        }
    }
    if values.iter().all(|value| value.is_i64()) {
        return format!("{{{{EnumInt {}}}}}", joined(values, " "));
    }
    if values.iter().all(Value::is_number) {
        return format!("{{{{EnumString `{}`}}}}", joined(values, " "));
    }
    let branches: Vec<String> = values.iter().map(|value| regex_syntax::escape(&value.to_string())).collect();
    format!("{{{{RandRegex {}}}}}", argument(&branches.join("|")))
}

fn joined(values: &[Value], separator: &str) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(separator)
}

/// One of several texts, without quotes. Words go by `EnumString`; it would take texts with spaces
/// apart.
fn text_choice(texts: &[&str]) -> String {
    let word = |text: &&str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '`');
    if texts.iter().all(word) {
        return format!("{{{{EnumString `{}`}}}}", texts.join(" "));
    }
    let branches: Vec<String> = texts.iter().map(|text| regex_syntax::escape(text)).collect();
    format!("{{{{RandRegex {}}}}}", argument(&branches.join("|")))
}

/// A template that prints a scalar without quotes; lists have their items separated by commas.
pub(crate) fn text_template(plan: &Plan, escape: Escape) -> String {
    match &plan.node {
        PlanNode::Literal(value) => escaped_text(&plain_text(value), escape),
        PlanNode::Choice(values) => {
            let texts: Vec<String> = values.iter().map(plain_text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let is_special = match escape {
                Escape::None => false,
                Escape::Xml => texts.iter().any(|text| text.contains(XML_SPECIAL)),
                Escape::Form => texts.iter().any(|text| !text.chars().all(|c| c.is_ascii_alphanumeric())),
            };
            if is_special { wrapped(text_choice(&texts), escape) } else { text_choice(&texts) }
        }
        PlanNode::Text(text) => {
            let is_plain = match (&text.source, escape) {
                (_, Escape::None) => true,
                (TextSource::Pattern(fitted), Escape::Xml) => xml_is_plain(&fitted.text),
                (_, Escape::Xml) | (TextSource::Characters, Escape::Form) => true,
                (_, Escape::Form) => false,
            };
            if is_plain { text_source(text) } else { wrapped(text_source(text), escape) }
        }
        PlanNode::Array { prefix, item, .. } => {
            let items = prefix.iter().chain(item).map(|plan| text_template(plan, escape));
            items.collect::<Vec<_>>().join(",")
        }
        PlanNode::Object(members) => {
            let members =
                members.iter().map(|(name, plan)| format!("{name},{}", text_template(plan, escape)));
            members.collect::<Vec<_>>().join(",")
        }
        PlanNode::FreeObject => "{{RandWord 3 9}}".to_owned(),
        PlanNode::Boolean | PlanNode::Integer { .. } | PlanNode::Fraction { .. } => scalar(plan),
    }
}

/// A template that prints the items of a list with something between them, and the members of an object so, too.
pub(crate) fn list_template(plan: &Plan, separator: &str, between: &str) -> String {
    let one = |plan: &Plan| text_template(plan, Escape::None);
    match &plan.node {
        PlanNode::Array { prefix, item, min, max } => {
            let placed = prefix.len() as u64;
            let mut text = prefix.iter().map(|plan| one(plan)).collect::<Vec<_>>().join(separator);
            if let (Some(item), true) = (item, *max > placed) {
                let rounds = count(min.saturating_sub(placed), max - placed);
                let first = if placed > 0 {
                    separator.to_owned()
                } else {
                    format!("{{{{if .}}}}{separator}{{{{end}}}}")
                };
                let _ = write!(text, "{{{{range Iterate {rounds}}}}}{first}{}{{{{end}}}}", one(item));
            }
            text
        }
        PlanNode::Object(members) => {
            let members =
                members.iter().map(|(name, plan)| format!("{}{between}{}", literal(name), one(plan)));
            members.collect::<Vec<_>>().join(separator)
        }
        PlanNode::FreeObject => format!("{{{{RandWord 3 9}}}}{between}{{{{RandWord 3 9}}}}"),
        _ => one(plan),
    }
}

const XML_SPECIAL: [char; 5] = ['<', '>', '&', '"', '\''];

/// Whether strings generated from an expression have no characters that XML takes for its own.
fn xml_is_plain(expression: &str) -> bool {
    // Classes that hold one of them hold a quote or a backslash too, nearly always; if not, the
    // characters stand in the expression.
    pattern_is_plain(expression)
        && !expression.contains(XML_SPECIAL)
        && !expression.contains("[!-")
        && !expression.contains("[#-")
}

/// A template whose only call has its special characters escaped. Those with text around calls need that not.
fn wrapped(template: String, escape: Escape) -> String {
    let function = if escape == Escape::Form { "urlquery" } else { "html" };
    match template.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        Some(call) if !call.contains("}}") => format!("{{{{{function} ({call})}}}}"),
        _ => template,
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A text as it stands in a form or a query.
pub(crate) fn form_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A text as the template that prints it.
pub(crate) fn escaped_text(text: &str, escape: Escape) -> String {
    let text = match escape {
        Escape::None => text.to_owned(),
        Escape::Xml => {
            text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
        }
        Escape::Form => form_encoded(text),
    };
    literal(&text)
}
