//! Plans for lists.

use std::sync::Arc;

use serde_json::Value;

use super::build::{PlanError, Planner, impossible};
use super::merge::Merged;
use super::{Plan, PlanNode, Sampler};
use crate::schema::{SchemaId, equal};

/// How many items more than they must lists have.
const EXTRA: u64 = 2;
/// Lists that must be longer than this are not generated.
const LONGEST: u64 = 1000;
/// How many samples are taken for each item that must differ from the others.
const TRIES: u64 = 50;

/// What several schemas want of a list.
struct Shape {
    min: u64,
    max: Option<u64>,
    unique: bool,
    /// For the first items.
    prefix: Vec<Vec<SchemaId>>,
    /// For all others.
    items: Vec<SchemaId>,
    /// Items that must be there.
    contained: Vec<SchemaId>,
    /// Nothing must be contained.
    certain: bool,
}

impl Shape {
    fn of(merged: &Merged<'_>) -> Shape {
        let prefix = merged.arrays.iter().map(|rules| rules.prefix.len()).max().unwrap_or(0);
        let at = |index: usize| {
            let wanted =
                |rules: &&crate::schema::ArrayRules| rules.prefix.get(index).copied().or(rules.items);
            merged.arrays.iter().copied().filter_map(|rules| wanted(&rules)).collect()
        };
        let contains = || merged.arrays.iter().filter_map(|rules| rules.contains);
        let repeat = |contains: crate::schema::Contains| {
            let count = usize::try_from(contains.min.min(LONGEST)).unwrap_or(0);
            std::iter::repeat_n(contains.schema, count)
        };
        Shape {
            min: merged.arrays.iter().map(|rules| rules.min).max().unwrap_or(0),
            max: merged.arrays.iter().filter_map(|rules| rules.max).min(),
            unique: merged.arrays.iter().any(|rules| rules.unique),
            prefix: (0..prefix).map(at).collect(),
            items: at(usize::MAX),
            contained: contains().flat_map(repeat).collect(),
            certain: contains().next().is_none(),
        }
    }
}

impl Planner<'_> {
    pub(super) fn array(&mut self, merged: &Merged<'_>, depth: i8) -> Result<(Plan, bool), PlanError> {
        let mut shape = Shape::of(merged);
        if shape.max.is_some_and(|max| max < shape.min) || shape.min > LONGEST {
            return impossible("it must have more items than it may");
        }
        if depth < 0 {
            return Err(PlanError::TooDeep);
        }
        // What must be contained comes first, or after the items whose places are fixed.
        for contained in std::mem::take(&mut shape.contained) {
            let mut ids = shape.items.clone();
            ids.push(contained);
            shape.prefix.push(ids);
        }
        let (prefix, mut complete) = self.prefix(&shape, depth)?;
        let placed = prefix.len() as u64;
        let cut = placed < shape.prefix.len() as u64;
        let mut more = (0, 0);
        let mut item = None;
        if !cut {
            (more, item, complete) = self.rest(&shape, placed, depth, complete)?;
        }
        if shape.unique && placed + more.1 > 1 {
            let count = (placed + more.0).max(shape.min).max(1);
            let plan = different(&prefix, item.as_deref(), count, complete)?;
            return Ok((plan, shape.certain));
        }
        let inner = prefix.iter().chain(&item).fold(1_u32, |sum, plan| sum.saturating_add(plan.size));
        let node = PlanNode::Array { prefix, item, min: placed + more.0, max: placed + more.1 };
        Ok((Plan { size: inner, complete, ..Plan::leaf(node) }, shape.certain))
    }

    /// The items with fixed places, as many as there may be.
    fn prefix(&mut self, shape: &Shape, depth: i8) -> Result<(Vec<Arc<Plan>>, bool), PlanError> {
        let mut plans = Vec::new();
        let mut complete = true;
        for (index, ids) in shape.prefix.iter().enumerate() {
            let index = index as u64;
            if shape.max.is_some_and(|max| index >= max) {
                break;
            }
            match self.plan_or_any(ids, depth - 1) {
                Ok(plan) => {
                    complete &= plan.complete;
                    plans.push(plan);
                }
                Err(error) if index < shape.min || !shape.certain => return Err(error),
                Err(error) => {
                    complete = error != PlanError::TooDeep;
                    break;
                }
            }
        }
        Ok((plans, complete))
    }

    /// How many other items there are, and which.
    #[allow(clippy::type_complexity, reason = "it is taken apart where it is made")]
    fn rest(
        &mut self,
        shape: &Shape,
        placed: u64,
        depth: i8,
        complete: bool,
    ) -> Result<((u64, u64), Option<Arc<Plan>>, bool), PlanError> {
        let missing = shape.min.saturating_sub(placed);
        let room = shape.max.map_or(u64::MAX, |max| max.saturating_sub(placed));
        // A list of fixed places gets other items only if it must.
        let wanted = if placed > 0 { missing } else { missing.max(1) };
        let low = wanted.min(room);
        let high = if placed > 0 { low } else { low.saturating_add(EXTRA).min(room) };
        if high == 0 {
            return Ok(((0, 0), None, complete));
        }
        match self.plan_or_any(&shape.items, depth - 1) {
            Ok(plan) => {
                let complete = complete && plan.complete;
                Ok(((low, high), Some(plan), complete))
            }
            Err(error) if missing == 0 => Ok(((0, 0), None, complete && error != PlanError::TooDeep)),
            Err(error) => Err(error),
        }
    }

    /// The plan for what all the schemas allow; if there are none, for some words.
    pub(super) fn plan_or_any(&mut self, ids: &[SchemaId], depth: i8) -> super::build::Planned {
        if ids.is_empty() { Ok(Arc::new(super::texts::anything())) } else { self.plan(ids, depth) }
    }
}

/// A list of so many items that differ from each other: always the same ones.
fn different(
    prefix: &[Arc<Plan>],
    item: Option<&Plan>,
    count: u64,
    complete: bool,
) -> Result<Plan, PlanError> {
    let mut items: Vec<Value> = Vec::new();
    for index in 0..count {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(plan) = prefix.get(at).map(|plan| &**plan).or(item) else {
            return impossible("there are not enough items");
        };
        let mut samples = (0..TRIES).map(|seed| Sampler::new(index * TRIES + seed).value(plan));
        match samples.find(|value| !items.iter().any(|known| equal(known, value))) {
            Some(value) => items.push(value),
            None => return impossible("not enough items were found that differ from each other"),
        }
    }
    Ok(Plan { complete, ..Plan::literal(Value::Array(items)) })
}
