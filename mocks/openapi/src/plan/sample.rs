//! Values made by plans, for examples and where a constant has to do.

use api_mock_datagen::{Pattern, PatternLimits, Rng, id, internet, json, person, place, text};
use serde_json::{Map, Number, Value};

use super::{Plan, PlanNode, Text, TextSource};
use crate::schema::Format;

/// Makes values; the same ones for the same seed.
pub(crate) struct Sampler {
    rng: Rng,
}

impl Sampler {
    pub(crate) fn new(seed: u64) -> Sampler {
        Sampler { rng: Rng::seeded(seed) }
    }

    pub(crate) fn value(&mut self, plan: &Plan) -> Value {
        match &plan.node {
            PlanNode::Literal(value) => value.clone(),
            PlanNode::Choice(values) => self.rng.pick(values).cloned().unwrap_or_default(),
            PlanNode::Boolean => Value::Bool(self.rng.coin()),
            PlanNode::Integer { min, max } => Value::from(self.rng.between(*min, max.saturating_add(1))),
            PlanNode::Fraction { min, max } => self.fraction(*min, *max),
            PlanNode::Text(text) => Value::String(self.text(text)),
            PlanNode::Array { prefix, item, min, max } => {
                let count = self.rng.between(signed(*min), signed(max.saturating_add(1)));
                let count = usize::try_from(count).unwrap_or(0);
                let plans = prefix.iter().chain(item.iter().cycle().take(count.saturating_sub(prefix.len())));
                Value::Array(plans.take(count).map(|plan| self.value(plan)).collect())
            }
            PlanNode::Object(members) => {
                let members = members.iter().map(|(name, plan)| (name.to_string(), self.value(plan)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            PlanNode::FreeObject => serde_json::from_str(&json::object(&mut self.rng)).unwrap_or_default(),
        }
    }

    fn fraction(&mut self, min: f64, max: f64) -> Value {
        let number = self.rng.float_between(min, max);
        let short = (number * 100.0).round() / 100.0;
        let number = if short >= min && short < max { short } else { number };
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }

    fn text(&mut self, plan: &Text) -> String {
        let rng = &mut self.rng;
        match &plan.source {
            TextSource::Format(format) => self.format(format),
            TextSource::Pattern(fitted) => pattern(rng, &fitted.text),
            TextSource::Characters => {
                let length = rng.between(signed(plan.min), signed(plan.max.saturating_add(1)));
                text::alphanumeric(rng, usize::try_from(length).unwrap_or(0))
            }
            TextSource::Words => text::words(rng, 3, "_"),
        }
    }

    fn format(&mut self, format: &Format) -> String {
        let rng = &mut self.rng;
        let day = rng.between(1, 29);
        match format.names.first().copied().unwrap_or_default() {
            "date-time" => format!("2024-01-{day:02}T12:00:00Z"),
            "date" => format!("2024-01-{day:02}"),
            "time" => format!("12:00:{day:02}Z"),
            "email" => internet::email(rng),
            "hostname" => internet::host(rng),
            "ipv4" => internet::ip(rng).to_string(),
            "ipv6" => internet::ipv6(rng).to_string(),
            "uri" | "uri-reference" => internet::url(rng),
            "uuid" => id::uuid(rng),
            "byte" => id::base64(rng, 16),
            "json-pointer" => format!("/{}", text::slug(rng, 3)),
            "phone" => person::phone(rng),
            "country" => place::country_code(rng).to_owned(),
            "ulid" => pattern(rng, "01[0-9A-HJKMNP-TV-Z]{24}"),
            // Nobody checks the others; the length is what counts.
            _ => match format.pattern {
                Some(expression) => pattern(rng, expression),
                None => rng.string("123456789", usize::try_from(format.lengths.0).unwrap_or(1)),
            },
        }
    }
}

fn pattern(rng: &mut Rng, expression: &str) -> String {
    let generated =
        Pattern::parse(expression).and_then(|pattern| pattern.generate(rng, &PatternLimits::default()));
    generated.unwrap_or_default()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
