//! Plans for numbers.

use serde_json::{Number, Value};

use super::build::{PlanError, impossible};
use super::merge::Merged;
use super::{Plan, PlanNode};
use crate::schema::{Bound, is_multiple, stricter};

/// How many multiples there are to choose from.
const MULTIPLES: usize = 10;
/// How far numbers go if there is no end.
const REACH: f64 = 10_000.0;
/// Beyond this, floats cannot tell an integer from its neighbour.
const EXACT: f64 = 9_007_199_254_740_992.0;

struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
    multiples: Vec<f64>,
}

impl Range {
    fn of(merged: &Merged<'_>) -> Range {
        let mut range = Range { min: None, max: None, multiples: Vec::new() };
        for rules in &merged.numbers {
            range.min = stricter(range.min, rules.min, true);
            range.max = stricter(range.max, rules.max, false);
            range.multiples.extend(rules.multiple_of);
        }
        range
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the numbers are cut to what floats can tell exactly")]
pub(super) fn integer(merged: &Merged<'_>) -> Result<Plan, PlanError> {
    let range = Range::of(merged);
    let low = range.min.map(|min| if min.exclusive { min.value.floor() + 1.0 } else { min.value.ceil() });
    let high = range.max.map(|max| if max.exclusive { max.value.ceil() - 1.0 } else { max.value.floor() });
    let (min, max) = ends(low, high);
    if min > EXACT || max < -EXACT {
        return impossible("its bounds are too far out");
    }
    let (min, max) = (min.clamp(-EXACT, EXACT), max.clamp(-EXACT, EXACT));
    if min > max {
        return impossible("no integer lies between its bounds");
    }
    let multiples: Vec<f64> = range.multiples.iter().copied().filter(|multiple| *multiple != 1.0).collect();
    if !multiples.is_empty() {
        let whole = |value: f64| value.fract() == 0.0 && value.abs() <= EXACT;
        return multiple(&multiples, low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY), whole);
    }
    if min == max {
        return Ok(Plan::literal(Value::from(min as i64)));
    }
    Ok(Plan::leaf(PlanNode::Integer { min: min as i64, max: max as i64 }))
}

/// Where a range begins and ends if that is not said; ends that are far out do not make numbers so.
fn ends(low: Option<f64>, high: Option<f64>) -> (f64, f64) {
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + REACH),
        (None, Some(high)) if high >= 0.0 => (0.0, high),
        (None, Some(high)) => (high - REACH, high),
        (None, None) => (0.0, REACH - 1.0),
    }
}

pub(super) fn fraction(merged: &Merged<'_>) -> Result<Plan, PlanError> {
    let range = Range::of(merged);
    let low = range.min.map(|min| if min.exclusive { above(min.value) } else { min.value });
    let high = range.max.map(|max| max.value);
    if !range.multiples.is_empty() {
        let bounds = |value: f64| {
            range.min.is_none_or(|min| value > min.value || (!min.exclusive && value == min.value))
                && range.max.is_none_or(|max| value < max.value || (!max.exclusive && value == max.value))
        };
        let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
        return multiple(&range.multiples, low, high, bounds);
    }
    let (min, max) = match ends(low, high) {
        (min, _) if low.is_none() && high.is_none() => (min, 1000.0),
        ends => ends,
    };
    match (min, max) {
        (min, max) if min < max && max - min > f64::EPSILON * max.abs().max(min.abs()) => {
            // What is too far out would be written in a way that is hard to read.
            let (min, max) = (min.max(-1e15), max.min(1e15));
            if min < max {
                Ok(Plan::leaf(PlanNode::Fraction { min, max }))
            } else {
                single(low.unwrap_or(max))
            }
        }
        (min, max) if min <= max && !range.max.is_some_and(|end| end.exclusive && end.value <= min) => {
            single(min)
        }
        _ => impossible("no number lies between its bounds"),
    }
}

/// A number a little above another one.
fn above(value: f64) -> f64 {
    let step = 1e-6_f64.max(value.abs() * 1e-9);
    value + step
}

fn single(value: f64) -> Result<Plan, PlanError> {
    let Some(number) = Number::from_f64(value) else { return impossible("its bounds are no numbers") };
    Ok(Plan::literal(tidy(number)))
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be a small integer")]
fn tidy(number: Number) -> Value {
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < EXACT => Value::from(float as i64),
        _ => Value::Number(number),
    }
}

/// Some numbers that are multiples of all the given ones.
fn multiple(multiples: &[f64], low: f64, high: f64, fits: impl Fn(f64) -> bool) -> Result<Plan, PlanError> {
    let step = multiples.iter().copied().fold(0.0, f64::max);
    let mut values: Vec<Value> = Vec::new();
    let first = if low.is_finite() {
        (low / step).ceil()
    } else if high.is_finite() && high < 0.0 {
        (high / step).floor() - 20.0
    } else {
        1.0_f64.min((high / step).floor())
    };
    for times in 0..2000 {
        let value = rounded((first + f64::from(times)) * step, step);
        if value > high {
            break;
        }
        if value >= low && fits(value) && multiples.iter().all(|of| is_multiple(value, *of)) {
            values.extend(Number::from_f64(value).map(tidy));
        }
        if values.len() >= MULTIPLES {
            break;
        }
    }
    match values.len() {
        0 => impossible("no multiple lies between its bounds"),
        1 => Ok(Plan::literal(values.remove(0))),
        _ => Ok(Plan::leaf(PlanNode::Choice(values))),
    }
}

/// Without the noise behind the digits that the step has.
fn rounded(value: f64, step: f64) -> f64 {
    let digits = format!("{step}").split_once('.').map_or(0, |(_, digits)| digits.len());
    format!("{value:.digits$}").parse().unwrap_or(value)
}
