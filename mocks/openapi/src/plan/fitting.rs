//! Texts that have a format and at the same time a pattern or a length that nothing is known to have.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::{Sampler, TextSource, texts};
use crate::schema::{Format, Pattern, StringRules};

/// How many texts there are to choose from.
const WANTED: usize = 8;
/// How many samples of each pattern and of each format are tried.
const SAMPLES: u64 = 12;
/// How many samples of a pattern are completed by parts of samples of a format.
const COMPLETED: usize = 3;
/// Longer texts are not taken apart.
const LONGEST: usize = 100;

/// Some texts that fit all the rules; none if none were found.
pub(super) fn texts(
    rules: &[&StringRules],
    patterns: &[&Arc<Pattern>],
    formats: &[&'static Format],
) -> Vec<Value> {
    let lengths = (
        rules.iter().map(|rules| rules.min).max().unwrap_or(0),
        rules.iter().filter_map(|rules| rules.max).min().unwrap_or(u64::MAX),
    );
    let mut found = Found { lengths, patterns, formats, texts: Vec::new(), seen: HashSet::new() };
    let of_patterns: Vec<String> =
        patterns.iter().flat_map(|pattern| of_pattern(pattern, lengths.0, lengths.1)).collect();
    let of_formats: Vec<String> = formats.iter().flat_map(|format| of_format(format)).collect();
    for text in of_patterns.iter().chain(&of_formats) {
        found.offer(text.clone());
    }
    // One or two would be too much alike.
    if found.texts.len() < WANTED / 2 {
        let cores =
            patterns.iter().flat_map(|pattern| of_pattern(pattern, 0, u64::MAX).into_iter().take(COMPLETED));
        for core in cores {
            of_formats.iter().for_each(|sample| complete(&mut found, &core, sample));
        }
    }
    found.texts.into_iter().map(Value::String).collect()
}

struct Found<'r> {
    lengths: (u64, u64),
    patterns: &'r [&'r Arc<Pattern>],
    formats: &'r [&'static Format],
    texts: Vec<String>,
    seen: HashSet<String>,
}

impl Found<'_> {
    /// Takes a text if it fits. False if it does not.
    fn offer(&mut self, text: String) -> bool {
        if self.texts.len() >= WANTED {
            return true;
        }
        let length = text.chars().count() as u64;
        let fits = (self.lengths.0..=self.lengths.1).contains(&length)
            && self.formats.iter().all(|format| format.check.is_none_or(|check| check(&text)))
            && self.patterns.iter().all(|pattern| pattern.is_match(&text));
        if fits && self.seen.insert(text.clone()) {
            self.texts.push(text);
        }
        fits
    }
}

/// Puts what a pattern wants in the place of a part of a text that has the format: `10.` before `20.30.40`, and
/// `@example.com` behind `somebody`. Those that keep more of that text come first.
fn complete(found: &mut Found<'_>, core: &str, sample: &str) {
    if core.len() > LONGEST || sample.len() > LONGEST || !sample.is_ascii() {
        return;
    }
    let part = |from: usize, to: usize| sample.get(from..to).unwrap_or_default();
    let end = sample.len();
    let _ = (0..=end).any(|at| found.offer(format!("{core}{}", part(at, end))))
        || (0..=end).rev().any(|at| found.offer(format!("{}{core}", part(0, at))))
        || (0..=end).any(|at| found.offer(format!("{}{core}{}", part(0, at), part(at, end))));
}

fn of_pattern(pattern: &Pattern, min: u64, max: u64) -> Vec<String> {
    let fitted = pattern.fitted(min, Some(max).filter(|max| *max < u64::MAX));
    fitted.map(|fitted| samples(&texts::from_expression(fitted))).unwrap_or_default()
}

fn of_format(format: &'static Format) -> Vec<String> {
    let own = texts::of(TextSource::Format(format), format.lengths, None, Some(format));
    let mut list: Vec<String> = format.examples().iter().map(|text| (*text).to_owned()).collect();
    list.extend(samples(&own));
    let fitted = format.pattern.and_then(|pattern| crate::schema::fit(pattern, 0, None));
    list.extend(fitted.map(|fitted| samples(&texts::from_expression(fitted))).unwrap_or_default());
    if format.names.contains(&"uuid") {
        list.extend(samples(&own).into_iter().map(|text| text.to_ascii_uppercase()));
    }
    list
}

fn samples(plan: &super::Plan) -> Vec<String> {
    let sample = |seed| match Sampler::new(seed).value(plan) {
        Value::String(text) => Some(text),
        _ => None,
    };
    (0..SAMPLES).filter_map(sample).collect()
}
