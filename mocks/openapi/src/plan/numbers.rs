//! Plans for numbers.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::build::{PlanError, impossible};
use super::merge::Merged;
use super::{Plan, PlanNode};
use crate::schema::{Amount, Bound, EXACT, is_multiple, stricter, whole};

/// How many multiples there are to choose from.
const MULTIPLES: usize = 10;
/// How far numbers go if there is no end.
const REACH: i128 = 10_000;
/// The same for fractions.
const FAR: f64 = 10_000.0;
/// As far as templates draw integers.
const SMALLEST: i128 = i64::MIN as i128;
const LARGEST: i128 = i64::MAX as i128;

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
            if rules.is_int64 {
                let most = Bound::Whole { value: i64::MAX, exclusive: false };
                range.max = stricter(range.max, Some(most), false);
            }
            range.multiples.extend(rules.multiple_of);
        }
        range
    }

    fn allows(&self, value: f64) -> bool {
        let value = Amount::Float(value);
        self.min.is_none_or(|min| !min.refuses(value, Ordering::Less))
            && self.max.is_none_or(|max| !max.refuses(value, Ordering::Greater))
    }

    /// All its numbers are such that floats cannot tell the integers among them apart.
    fn is_far_out(&self) -> bool {
        let beyond = |end: Option<Bound>, is_lower: bool| end.and_then(|end| end.integer(is_lower));
        beyond(self.min, true).is_some_and(|min| min > EXACT)
            || beyond(self.max, false).is_some_and(|max| max < -EXACT)
    }
}

pub(super) fn integer(merged: &Merged<'_>) -> Result<Plan, PlanError> {
    let range = Range::of(merged);
    let end = |bound: Option<Bound>, is_lower: bool| match bound.map(|bound| bound.integer(is_lower)) {
        None => Ok(None),
        // An end so far out is none, if it is on the right side.
        Some(None) if bound.is_some_and(|bound| (bound.float() < 0.0) == is_lower) => Ok(None),
        Some(None) => impossible("its bounds are too far out"),
        Some(end) => Ok(end),
    };
    let (low, high) = (end(range.min, true)?, end(range.max, false)?);
    // Where numbers may be smaller than any that is drawn, they need not be.
    let low = low.filter(|low| *low >= SMALLEST || high.is_some_and(|high| high < SMALLEST));
    // What is said of int64 is not how far numbers should go.
    let (min, max) = ends(low, high.filter(|high| *high != LARGEST || low.is_some_and(|low| low > LARGEST)));
    let (most, least) = (EXACT.max(min.saturating_add(REACH)), (-EXACT).min(max.saturating_sub(REACH)));
    let (min, max) = (min.max(least), max.min(most));
    if min > max {
        return impossible("no integer lies between its bounds");
    }
    // Of what one is a multiple of, all integers are.
    let multiples: Vec<f64> = range.multiples.iter().copied().filter(|of| !is_multiple(1.0, *of)).collect();
    if !multiples.is_empty() {
        return whole_multiple(&multiples, (low, high));
    }
    if min > LARGEST {
        return choice((min..=max.min(u64::MAX.into())).take(MULTIPLES), "its bounds are too far out");
    }
    match (i64::try_from(min.max(SMALLEST)), i64::try_from(max.min(LARGEST))) {
        (Ok(min), Ok(max)) if min == max => Ok(Plan::literal(Value::from(min))),
        (Ok(min), Ok(max)) => Ok(Plan::leaf(PlanNode::Integer { min, max })),
        _ => impossible("its bounds are too far out"),
    }
}

/// Where a range begins and ends if that is not said; ends that are far out do not make numbers so.
fn ends(low: Option<i128>, high: Option<i128>) -> (i128, i128) {
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low.saturating_add(REACH)),
        (None, Some(high)) if high >= 0 => (0, high),
        (None, Some(high)) => (high.saturating_sub(REACH), high),
        (None, None) => (0, REACH - 1),
    }
}

/// The integers among these numbers that JSON has, as values to choose from.
fn choice(integers: impl Iterator<Item = i128>, none: &'static str) -> Result<Plan, PlanError> {
    let value = |integer: i128| {
        let small = i64::try_from(integer).map(Value::from);
        small.or_else(|_| u64::try_from(integer).map(Value::from)).ok()
    };
    one_of(integers.filter_map(value).collect(), none)
}

fn one_of(mut values: Vec<Value>, none: &'static str) -> Result<Plan, PlanError> {
    match values.len() {
        0 => impossible(none),
        1 => Ok(Plan::literal(values.remove(0))),
        _ => Ok(Plan::leaf(PlanNode::Choice(values))),
    }
}

const NO_MULTIPLE: &str = "no multiple lies between its bounds";

/// Some integers that are multiples of all the given ones.
#[allow(clippy::cast_precision_loss, reason = "only where a multiple is no integer")]
fn whole_multiple(multiples: &[f64], (low, high): (Option<i128>, Option<i128>)) -> Result<Plan, PlanError> {
    let Some(step) = common_multiple(multiples) else {
        let lies_within =
            |value: i128| low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high);
        let fits = |value: f64| whole(value).is_some_and(lies_within);
        let low = low.map_or(f64::NEG_INFINITY, |low| low as f64);
        return multiple(multiples, low, high.map_or(f64::INFINITY, |high| high as f64), fits);
    };
    let first = match (low, high) {
        (Some(low), _) => low.div_euclid(step) + i128::from(low.rem_euclid(step) != 0),
        (None, Some(high)) if high < 0 => high.div_euclid(step) - 9,
        (None, Some(high)) => high.div_euclid(step).min(1),
        (None, None) => 1,
    };
    let all = (first..).map_while(|times| times.checked_mul(step)).take(MULTIPLES);
    choice(all.take_while(|value| high.is_none_or(|high| *value <= high)), NO_MULTIPLE)
}

/// The least common multiple, if all are integers.
fn common_multiple(multiples: &[f64]) -> Option<i128> {
    multiples.iter().try_fold(1_i128, |common, multiple| {
        let (of, mut a) = (whole(*multiple)?, common);
        let mut b = of;
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (a > 0).then(|| common / a)?.checked_mul(of)
    })
}

pub(super) fn fraction(merged: &Merged<'_>) -> Result<Plan, PlanError> {
    let range = Range::of(merged);
    // Multiples of integers are integers.
    if range.multiples.iter().any(|of| whole(*of).is_some()) {
        return integer(merged);
    }
    if range.is_far_out()
        && let Ok(plan) = integer(merged)
    {
        return Ok(plan);
    }
    let low = range.min.map(|min| if min.exclusive() { above(min.float()) } else { min.float() });
    let high = range.max.map(Bound::float);
    if !range.multiples.is_empty() {
        let bounds = |value: f64| range.allows(value);
        let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
        return multiple(&range.multiples, low, high, bounds);
    }
    let (min, max) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + FAR),
        (None, Some(high)) if high >= 0.0 => (0.0, high),
        (None, Some(high)) => (high - FAR, high),
        (None, None) => (0.0, 1000.0),
    };
    match (min, max) {
        (min, max) if min < max && max - min > f64::EPSILON * max.abs().max(min.abs()) => {
            // What is too far out would be written in a way that is hard to read.
            let (min, max) = (min.max(-1e15), max.min(1e15));
            if min < max {
                Ok(Plan::leaf(PlanNode::Fraction { min, max }))
            } else {
                single(&range, low.unwrap_or(max))
            }
        }
        (min, max) if min <= max => single(&range, min),
        _ => impossible("no number lies between its bounds"),
    }
}

/// A number a little above another one.
fn above(value: f64) -> f64 {
    let step = 1e-6_f64.max(value.abs() * 1e-9);
    value + step
}

/// A number, or one beside it if only that one is allowed.
fn single(range: &Range, value: f64) -> Result<Plan, PlanError> {
    let near = [value, value.next_up(), value.next_down()];
    match near.into_iter().find(|value| range.allows(*value)).and_then(Number::from_f64) {
        Some(number) => Ok(Plan::literal(tidy(number))),
        None => impossible("no number lies between its bounds"),
    }
}

fn tidy(number: Number) -> Value {
    let integer = number.as_f64().and_then(whole).and_then(|whole| i64::try_from(whole).ok());
    integer.map_or(Value::Number(number), Value::from)
}

/// Some numbers that are multiples of all the given ones.
fn multiple(multiples: &[f64], low: f64, high: f64, fits: impl Fn(f64) -> bool) -> Result<Plan, PlanError> {
    let step = multiples.iter().copied().fold(0.0, f64::max);
    let mut values: Vec<Value> = Vec::new();
    let first = if low.is_finite() {
        (low / step).ceil()
    } else if high.is_finite() && high <= 0.0 {
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
    one_of(values, NO_MULTIPLE)
}

/// Without the noise behind the digits that the step has.
fn rounded(value: f64, step: f64) -> f64 {
    let digits = format!("{step}").split_once('.').map_or(0, |(_, digits)| digits.len());
    format!("{value:.digits$}").parse().unwrap_or(value)
}
