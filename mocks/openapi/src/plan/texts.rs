//! Plans for texts.

use std::sync::Arc;

use super::build::{PlanError, impossible};
use super::merge::Merged;
use super::{Plan, PlanNode, Text, TextSource};
use crate::schema::{Fitted, Format, Pattern, fit, pattern_is_certain};

/// How many characters more than it must a text has.
const EXTRA: u64 = 20;
/// Texts that must be longer than this are not generated.
const LONGEST: u64 = 60_000;
/// The longest that three words with separators can be.
const THREE_WORDS: (u64, u64) = (3, 41);

/// A plan, and whether its texts are known to be valid.
pub(super) fn text(merged: &Merged<'_>) -> Result<(Plan, bool), PlanError> {
    let min = merged.strings.iter().map(|rules| rules.min).max().unwrap_or(0);
    let max = merged.strings.iter().filter_map(|rules| rules.max).min();
    if max.is_some_and(|max| max < min) {
        return impossible("its shortest length is greater than its longest");
    }
    if min > LONGEST {
        return impossible("it must be longer than what is generated");
    }
    let patterns: Vec<&Arc<Pattern>> =
        merged.strings.iter().filter_map(|rules| rules.pattern.as_ref()).collect();
    let mut formats: Vec<&'static Format> = Vec::new();
    for rules in &merged.strings {
        let known = rules.format.as_deref().and_then(format);
        formats.extend(known.filter(|one| !formats.iter().any(|known| std::ptr::eq(*known, *one))));
    }
    let is_checked = formats.iter().any(|format| format.check.is_some());
    if let (false, true) = (patterns.is_empty(), is_checked)
        && let Some(plan) = fitting(merged, &patterns, &formats)
    {
        return Ok((plan, true));
    }
    if let Some(pattern) = patterns.first() {
        return by_pattern(
            pattern,
            min,
            max,
            patterns.len() == 1 && formats.iter().all(|one| one.check.is_none()),
        );
    }
    match formats.first() {
        Some(format) => match by_format(format, min, max) {
            Err(error) => fitting(merged, &patterns, &formats).map(|plan| (plan, true)).ok_or(error),
            plan => plan.map(|plan| (plan, formats.len() == 1)),
        },
        None => Ok((by_length(min, max), true)),
    }
}

/// One of some texts that were found to have the formats, the patterns and the length.
fn fitting(merged: &Merged<'_>, patterns: &[&Arc<Pattern>], formats: &[&'static Format]) -> Option<Plan> {
    let mut found = super::fitting::texts(&merged.strings, patterns, formats);
    match found.len() {
        0 => None,
        1 => found.pop().map(Plan::literal),
        _ => Some(Plan::leaf(PlanNode::Choice(found))),
    }
}

/// The format of that name. Whatever else speaks of a time is taken for one.
fn format(name: &str) -> Option<&'static Format> {
    Format::named(name).or_else(|| {
        let name = name.to_ascii_lowercase();
        (name.contains("time") && !name.contains("zone")).then(|| Format::named("date-time")).flatten()
    })
}

fn by_pattern(
    pattern: &Arc<Pattern>,
    min: u64,
    max: Option<u64>,
    alone: bool,
) -> Result<(Plan, bool), PlanError> {
    let Some(fitted) = pattern.fitted(min, max) else {
        return impossible("no text was found that matches its pattern and has its length");
    };
    // In this order: to know whether it is checked it has to be compiled.
    let certain = alone && (pattern_is_certain(&fitted.text) || !pattern.is_checked());
    // Where anchors may not hold, nothing is known of the pattern.
    let known = certain.then(|| pattern.clone());
    let (least, most) = (fitted.min, fitted.max);
    let plan = of(TextSource::Pattern(fitted), (least, most), known, None);
    Ok((plan, certain))
}

fn by_format(format: &'static Format, min: u64, max: Option<u64>) -> Result<Plan, PlanError> {
    let (least, most) = format.lengths;
    if least >= min && max.is_none_or(|max| most <= max) {
        return Ok(of(TextSource::Format(format), format.lengths, None, Some(format)));
    }
    let mut patterns = format.pattern.into_iter().chain(format.other_pattern());
    match patterns.find_map(|pattern| fit(pattern, min, max)) {
        Some(fitted) => {
            let lengths = (fitted.min, fitted.max);
            Ok(of(TextSource::Pattern(fitted), lengths, None, Some(format)))
        }
        // Formats that are not checked are only a hint.
        None if format.check.is_none() => Ok(by_length(min, max)),
        None => impossible("nothing of its format has its length"),
    }
}

fn by_length(min: u64, max: Option<u64>) -> Plan {
    if min <= THREE_WORDS.0 && max.is_none_or(|max| max >= THREE_WORDS.1) {
        return of(TextSource::Words, THREE_WORDS, None, None);
    }
    let low = match max {
        Some(max) => min.max(1).min(max),
        None => min.max(1),
    };
    let high = max.unwrap_or(u64::MAX).min(low.saturating_add(EXTRA));
    of(TextSource::Characters, (low, high), None, None)
}

pub(super) fn of(
    source: TextSource,
    (min, max): (u64, u64),
    pattern: Option<Arc<Pattern>>,
    format: Option<&'static Format>,
) -> Plan {
    Plan::leaf(PlanNode::Text(Text { source, min, max, pattern, format }))
}

/// Texts of letters and digits instead of words, and of many kinds of characters.
pub(super) fn other(plan: &Plan) -> Vec<Plan> {
    let PlanNode::Text(Text { source: TextSource::Words | TextSource::Characters, min, max, .. }) = plan.node
    else {
        return Vec::new();
    };
    let lengths = if min == THREE_WORDS.0 && max == THREE_WORDS.1 { (1, EXTRA) } else { (min, max) };
    let mixed = fit("^[ -~]*$", lengths.0, Some(lengths.1)).map(from_expression);
    std::iter::once(of(TextSource::Characters, lengths, None, None)).chain(mixed).collect()
}

/// Some words.
pub(super) fn anything() -> Plan {
    by_length(0, None)
}

/// What is made from an expression.
pub(super) fn from_expression(fitted: Fitted) -> Plan {
    let lengths = (fitted.min, fitted.max);
    of(TextSource::Pattern(fitted), lengths, None, None)
}
