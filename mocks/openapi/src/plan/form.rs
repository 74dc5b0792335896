//! Plans as templates that print forms.

use super::template::count;
use super::{Escape, Plan, PlanNode, Sampler, escaped_text, text_template};

/// A template that prints `name=value&…`; a list is one pair for each item.
pub(crate) fn form_template(plan: &Plan) -> String {
    let PlanNode::Object(members) = &plan.node else { return text_template(plan, Escape::Form) };
    let mut text = String::new();
    for (name, member) in members {
        let name = escaped_text(name, Escape::Form);
        match &member.node {
            PlanNode::Array { prefix, item, min, max } => {
                prefix.iter().for_each(|plan| pair(&mut text, &name, plan));
                let placed = prefix.len() as u64;
                if let (Some(item), true) = (item, *max > placed) {
                    let rounds = count(min.saturating_sub(placed), max - placed);
                    text.push_str(&format!("{{{{range Iterate {rounds}}}}}"));
                    text.push_str(&format!("&{name}={}", value(item)));
                    text.push_str("{{end}}");
                }
            }
            _ => pair(&mut text, &name, member),
        }
    }
    // Empty pairs mean nothing to who reads a form.
    text.strip_prefix('&').map(str::to_owned).unwrap_or(text)
}

fn pair(text: &mut String, name: &str, plan: &Plan) {
    text.push_str(&format!("&{name}={}", value(plan)));
}

/// Objects and lists in a form are JSON, always the same.
fn value(plan: &Plan) -> String {
    match &plan.node {
        PlanNode::Object(_) | PlanNode::FreeObject | PlanNode::Array { .. } => {
            escaped_text(&Sampler::new(1).value(plan).to_string(), Escape::Form)
        }
        _ => text_template(plan, Escape::Form),
    }
}
