//! Values for requests: fixed ones, templates, and strings that match patterns.

use std::sync::LazyLock;

use api_mock_datagen::{Pattern, PatternLimits, Rng, strip_type_tags, text};
use api_mock_functions::State;
use api_mock_scenario::{constant, directives};
use api_mock_template::time::CivilTime;
use api_mock_template::{Context, Functions, Template, TemplateOptions, Value};
use serde_json::{Number, Value as Json};

pub(crate) static FUNCTIONS: LazyLock<Functions> = LazyLock::new(api_mock_functions::functions);

/// What one request draws from.
pub(crate) struct Draw {
    pub(crate) rng: Rng,
    /// What templates see.
    pub(crate) data: Value,
    /// What the time is.
    pub(crate) now: CivilTime,
}

impl Draw {
    /// Renders a template.
    pub(crate) fn render(&mut self, template: &Template, data: &Value) -> Result<String, String> {
        let mut state = State::new(Rng::seeded(self.rng.next_u64()), self.now.clone());
        let rendered = template.render_with(data, &mut Context::with_state(&mut state));
        rendered.map_err(|error| error.to_string())
    }
}

/// A template of a scenario; missing variables print nothing.
pub(crate) fn template(text: &str) -> Option<Template> {
    TemplateOptions::new().no_value("").parse("value", text, &FUNCTIONS).ok()
}

/// The text that a file means where all its directives are constants; `None` where some are not.
pub(crate) fn plain(text: &str) -> Option<String> {
    if !text.contains("{{") {
        return Some(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for at in directives(text) {
        plain.push_str(text.get(from..at.start)?);
        plain.push_str(text.get(at.clone()).and_then(constant)?);
        from = at.end;
    }
    plain.push_str(text.get(from..)?);
    Some(plain)
}

/// What a text of a file may be like: directives that are no constants are rendered once, always alike.
pub(crate) fn sample(text: &str) -> Option<String> {
    plain(text).or_else(|| {
        let now = CivilTime::from_unix(0, 0, 0, "UTC");
        let mut draw = Draw { rng: Rng::seeded(0), data: Value::Nil, now };
        draw.render(&template(text)?, &Value::Nil).ok()
    })
}

/// The JSON type that a pattern asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    /// Several are possible: what the generated text looks like.
    Mixed,
}

impl Kind {
    fn of(pattern: &str) -> Kind {
        let has = |tag: &str| pattern.contains(tag);
        match (has("__number__"), has("__boolean__"), has("__string__")) {
            (true, false, false) => Kind::Number,
            (false, true, false) => Kind::Boolean,
            (false, false, _) => Kind::Text,
            _ => Kind::Mixed,
        }
    }
}

/// Makes one value.
#[derive(Debug)]
pub(crate) enum Maker {
    Fixed(String),
    Template(Template),
    Pattern(Box<Pattern>, Kind),
    /// For patterns from which nothing can be generated.
    Sentence,
}

impl Maker {
    /// Of an example: one that begins like a typed pattern is one.
    pub(crate) fn of_example(text: &str) -> Maker {
        let text = text.strip_prefix("__example__").unwrap_or(text);
        let Some(plain) = plain(text) else {
            return template(text).map_or_else(|| Maker::Fixed(text.to_owned()), Maker::Template);
        };
        let is_pattern =
            ["__string__", "__number__", "__boolean__", "(__"].iter().any(|begin| plain.starts_with(begin))
                || plain.starts_with('(') && plain.ends_with(')');
        if is_pattern { Maker::of_pattern(text) } else { Maker::Fixed(plain) }
    }

    /// Of a text in which nothing is a pattern.
    pub(crate) fn of_text(text: &str) -> Maker {
        match plain(text) {
            Some(plain) => Maker::Fixed(plain),
            None => template(text).map_or_else(|| Maker::Fixed(text.to_owned()), Maker::Template),
        }
    }

    /// Of a pattern.
    pub(crate) fn of_pattern(text: &str) -> Maker {
        let Some(plain) = plain(text) else {
            return template(text).map_or(Maker::Sentence, Maker::Template);
        };
        match Pattern::parse(&plain) {
            Ok(pattern) => Maker::Pattern(Box::new(pattern), Kind::of(&plain)),
            // What is no expression matches itself.
            Err(_) if !plain.contains(['(', '[', '\\', '?']) => Maker::Fixed(strip_type_tags(&plain)),
            Err(_) => Maker::Sentence,
        }
    }

    /// The value as text.
    pub(crate) fn text(&self, draw: &mut Draw) -> Result<String, String> {
        match self {
            Maker::Fixed(text) => Ok(text.clone()),
            Maker::Template(template) => {
                let data = draw.data.clone();
                draw.render(template, &data)
            }
            Maker::Pattern(pattern, _) => {
                pattern.generate(&mut draw.rng, &PatternLimits::default()).map_err(|error| error.to_string())
            }
            Maker::Sentence => Ok(text::sentence(&mut draw.rng, 3)),
        }
    }

    /// The value as JSON, of the type that the pattern asks for.
    pub(crate) fn json(&self, draw: &mut Draw) -> Result<Json, String> {
        let Maker::Pattern(_, kind) = self else { return self.text(draw).map(Json::String) };
        let text = self.text(draw)?;
        Ok(match kind {
            Kind::Text => Json::String(text),
            Kind::Boolean => Json::Bool(text.trim() == "true"),
            Kind::Number => number(&text).map_or(Json::String(text), Json::Number),
            Kind::Mixed => match text.trim() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                trimmed => number(trimmed).map_or_else(|| Json::String(text.clone()), Json::Number),
            },
        })
    }
}

/// A number as patterns make it: with a plus, with leading zeros, or without digits before the point.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let zero = if digits.is_empty() || !digits.starts_with(|c: char| c.is_ascii_digit()) { "0" } else { "" };
    let written = format!("{sign}{zero}{digits}");
    let written = if written == "-0" { "0" } else { &written };
    serde_json::from_str(written).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw() -> Draw {
        Draw { rng: Rng::seeded(1), data: Value::Nil, now: CivilTime::from_unix(0, 0, 0, "UTC") }
    }

    #[test]
    fn defect_l15_values_have_the_type_of_their_pattern() {
        let mut draw = draw();
        for _ in 0..200 {
            for pattern in
                ["__number__[+-]?[0-9]{1,10}", "(__number__[+-]?[0-9]{1,10})", r"__number__(\.[0-9]{1,3})"]
            {
                let value = Maker::of_pattern(pattern).json(&mut draw).unwrap();
                assert!(value.is_number(), "{pattern}: {value}");
            }
            assert!(Maker::of_pattern("(__boolean__(false|true))").json(&mut draw).unwrap().is_boolean());
            assert!(Maker::of_pattern(r"(__string__\w+)").json(&mut draw).unwrap().is_string());
        }
    }

    #[test]
    fn numbers_are_read_as_patterns_write_them() {
        let read = |text: &str| number(text).map(|number| number.to_string());
        for (text, value) in
            [("+007", "7"), ("-0", "0"), ("000", "0"), (".5", "0.5"), ("-.5", "-0.5"), ("10", "10")]
        {
            assert_eq!(read(text).as_deref(), Some(value), "{text}");
        }
        assert!(read("x").is_none() && read("").is_none() && read("1e").is_none());
    }

    #[test]
    fn examples_are_fixed_unless_they_are_patterns_or_templates() {
        let mut draw = draw();
        assert_eq!(Maker::of_example("sk_1").text(&mut draw).unwrap(), "sk_1");
        assert_eq!(Maker::of_example("{{`{{`}}x").text(&mut draw).unwrap(), "{{x");
        assert_eq!(Maker::of_example("{{RandNumMinMax 5 6}}").text(&mut draw).unwrap(), "5");
        assert_eq!(Maker::of_example("(__number__[7]{2})").text(&mut draw).unwrap(), "77");
    }
}
