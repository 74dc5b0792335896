//! Lists and objects as parameters, as templates that draw them anew each time.

use api_mock_scenario::literal;
use serde_json::Value;

use super::example::{plain, separator};
use crate::plan::{Escape, Plan, PlanNode, TextSource, json_template, list_template, text_template};
use crate::spec::{Location, Parameter, Style};

/// What stands between items and members in some style: what has it within itself cannot be an item.
const SEPARATORS: [char; 8] = [',', ' ', '|', '\t', '&', '=', ';', '.'];
/// Formats of which no text has one of the first six.
const HARMLESS: [&str; 7] = ["date-time", "date", "time", "email", "hostname", "ipv4", "uuid"];

/// Names and templates for a parameter; `None` if it has to be drawn once and for all.
pub(super) fn drawn(parameter: &Parameter, plan: &Plan) -> Option<Vec<(String, String)>> {
    let one = |text: String| Some(vec![(parameter.name.clone(), text)]);
    if parameter.media.is_some() {
        return one(one_line(&json_template(plan)));
    }
    if matches!(parameter.style, Style::Label | Style::Matrix) || !is_harmless(plan) {
        return None;
    }
    let spread = parameter.explode && matches!(parameter.location, Location::Query | Location::Cookie);
    match &plan.node {
        PlanNode::Object(members) if parameter.style == Style::DeepObject || spread => {
            let name = |key: &str| match parameter.style {
                Style::DeepObject => format!("{}[{key}]", parameter.name),
                _ => key.to_owned(),
            };
            let text = |plan: &Plan| text_template(plan, Escape::None);
            Some(members.iter().map(|(key, plan)| (name(key), text(plan))).collect())
        }
        // In a file they stand one after the other, as in a query.
        PlanNode::Array { .. } if spread && parameter.location == Location::Query => {
            one(list_template(plan, &literal(&format!("&{}=", parameter.name)), ""))
        }
        PlanNode::Array { .. } | PlanNode::Object(_) if !spread => {
            let between = if parameter.explode { "=" } else { "," };
            one(list_template(plan, separator(parameter.style, parameter.explode), between))
        }
        _ => None,
    }
}

/// Whether it is a list or an object of scalars none of which can be taken for several.
fn is_harmless(plan: &Plan) -> bool {
    match &plan.node {
        PlanNode::Array { prefix, item, .. } => prefix.iter().chain(item).all(|plan| is_simple(plan)),
        PlanNode::Object(members) => {
            let is_name = |name: &str| !name.is_empty() && !name.contains(SEPARATORS);
            members.iter().all(|(name, plan)| is_name(name) && is_simple(plan))
        }
        _ => false,
    }
}

fn is_simple(plan: &Plan) -> bool {
    let is_word = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) => false,
        // A fraction has a point, and that is no separator here.
        Value::Number(_) => true,
        value => !plain(value).is_empty() && !plain(value).contains(SEPARATORS),
    };
    match &plan.node {
        PlanNode::Boolean | PlanNode::Integer { .. } | PlanNode::Fraction { .. } => true,
        PlanNode::Literal(value) => is_word(value),
        PlanNode::Choice(values) => values.iter().all(is_word),
        PlanNode::Text(text) => match &text.source {
            TextSource::Characters => text.min > 0,
            TextSource::Words => true,
            TextSource::Format(format) => format.names.iter().any(|name| HARMLESS.contains(name)),
            TextSource::Pattern(_) => false,
        },
        PlanNode::Array { .. } | PlanNode::Object(_) | PlanNode::FreeObject => false,
    }
}

/// JSON without the line breaks of its template; texts in it have none.
fn one_line(template: &str) -> String {
    template.lines().map(str::trim_start).collect::<Vec<_>>().join(" ")
}
