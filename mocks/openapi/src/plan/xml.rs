//! Plans as templates that print XML.

use super::template::count;
use super::{Escape, Plan, PlanNode, text_template};

/// A template that prints an XML document, on one line for each element.
pub(crate) fn xml_template(plan: &Plan) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
    let root = element_name(plan, plan.name.as_deref().unwrap_or("root"));
    match &plan.node {
        // A document has one root.
        PlanNode::Array { .. } => {
            let start = new_line(0);
            let mut inner = String::new();
            items(&mut inner, plan, &root, 1);
            let around = if root == "root" { "root".to_owned() } else { format!("{root}s") };
            let around = if plan.xml.as_ref().is_some_and(|xml| xml.name.is_some()) { root } else { around };
            text.push_str(&format!("{start}<{around}>{inner}{start}</{around}>"));
        }
        _ => element(&mut text, plan, &root, 0),
    }
    text
}

fn new_line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth))
}

/// What an element is called: as the schema wants, or as the member.
fn element_name(plan: &Plan, usual: &str) -> String {
    let xml = plan.xml.as_deref();
    let name = xml_name(xml.and_then(|xml| xml.name.as_deref()).unwrap_or(usual));
    match xml.and_then(|xml| xml.prefix.as_deref()) {
        Some(prefix) => format!("{prefix}:{name}"),
        None => name,
    }
}

/// A name that an element can have.
pub(crate) fn xml_name(name: &str) -> String {
    let good = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':') { c } else { '_' };
    let mut name: String = name.chars().map(good).collect();
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

fn element(text: &mut String, plan: &Plan, name: &str, depth: usize) {
    let start = new_line(depth);
    let space = plan.xml.as_deref().and_then(|xml| {
        let namespace = xml.namespace.as_deref()?;
        let prefix = xml.prefix.as_deref().map(|prefix| format!(":{prefix}")).unwrap_or_default();
        Some(format!(" xmlns{prefix}=\"{namespace}\""))
    });
    let space = space.unwrap_or_default();
    match &plan.node {
        PlanNode::Object(members) => {
            let is_attribute = |member: &Plan| member.xml.as_deref().is_some_and(|xml| xml.attribute);
            let mut attributes = String::new();
            let mut inner = String::new();
            for (member_name, member) in members {
                if is_attribute(member) {
                    let value = text_template(member, Escape::Xml);
                    attributes.push_str(&format!(" {}=\"{value}\"", element_name(member, member_name)));
                } else {
                    child(&mut inner, member, member_name, depth + 1);
                }
            }
            let end = if inner.is_empty() { String::new() } else { start.clone() };
            text.push_str(&format!("{start}<{name}{space}{attributes}>{inner}{end}</{name}>"));
        }
        _ => {
            let value = text_template(plan, Escape::Xml);
            text.push_str(&format!("{start}<{name}{space}>{value}</{name}>"));
        }
    }
}

fn child(text: &mut String, plan: &Plan, member_name: &str, depth: usize) {
    let name = element_name(plan, member_name);
    match &plan.node {
        PlanNode::Array { .. } if plan.xml.as_deref().is_some_and(|xml| xml.wrapped) => {
            let start = new_line(depth);
            let mut inner = String::new();
            items(&mut inner, plan, &name, depth + 1);
            text.push_str(&format!("{start}<{name}>{inner}{start}</{name}>"));
        }
        PlanNode::Array { .. } => items(text, plan, &name, depth),
        _ => element(text, plan, &name, depth),
    }
}

/// The items of a list, each an element.
fn items(text: &mut String, plan: &Plan, usual: &str, depth: usize) {
    let PlanNode::Array { prefix, item, min, max } = &plan.node else { return };
    for plan in prefix {
        element(text, plan, &element_name(plan, usual), depth);
    }
    let placed = prefix.len() as u64;
    if let (Some(item), true) = (item, *max > placed) {
        let (low, high) = (min.saturating_sub(placed), max - placed);
        text.push_str(&format!("{{{{range Iterate {}}}}}", count(low, high)));
        element(text, item, &element_name(item, usual), depth);
        text.push_str("{{end}}");
    }
}
