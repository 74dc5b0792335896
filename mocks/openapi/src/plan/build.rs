//! From schemas to plans.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::merge::{Chosen, Merged};
use super::{Plan, PlanNode, Sampler};
use crate::schema::{Direction, SchemaId, Schemas, Types};

/// A body has about so many values at most: what is optional stays out if it would have more.
const COMFORTABLE_SIZE: u32 = 150;
/// A body that must have more values than this is not generated.
const LARGEST_SIZE: u32 = 20_000;
/// How deep objects and lists are nested.
const MAX_DEPTH: i8 = 12;
/// How many combinations of alternatives are tried for one value.
const MAX_ATTEMPTS: u32 = 40;
/// How many members are tried to leave out where an object cannot have all of them.
const MAX_REMOVED: usize = 30;
/// How many samples are tried where nothing better can be done.
const MAX_SAMPLES: u64 = 64;

/// Why there is nothing to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// It is nested deeper than allowed for now.
    TooDeep,
    /// There is no valid value, or none was found.
    Impossible(Cow<'static, str>),
}

impl PlanError {
    pub(crate) fn why(&self) -> &str {
        match self {
            PlanError::TooDeep => "it has no end: each value must contain another one of its kind",
            PlanError::Impossible(why) => why,
        }
    }
}

pub(super) fn impossible<T>(why: &'static str) -> Result<T, PlanError> {
    Err(PlanError::Impossible(Cow::Borrowed(why)))
}

pub(super) type Planned = Result<Arc<Plan>, PlanError>;

/// Makes plans, and remembers them.
pub(crate) struct Planner<'s> {
    pub(super) schemas: &'s Schemas,
    pub(super) direction: Direction,
    /// Whether examples and defaults are taken for values.
    examples: bool,
    /// Plans for single schemas, by their numbers; most are for one.
    single: Vec<Memory>,
    several: HashMap<Box<[SchemaId]>, Memory>,
    /// What is known of the members of objects.
    pub(super) members: HashMap<Box<[SchemaId]>, Rc<[super::objects::Member]>>,
}

/// The plans for one thing.
#[derive(Clone, Default)]
struct Memory {
    /// One that nothing was left out of: it is good for every greater depth.
    complete: Option<Planned>,
    /// The others, by depth plus one.
    by_depth: Vec<Option<Planned>>,
}

impl Memory {
    fn get(&self, depth: i8) -> Option<&Planned> {
        self.complete.as_ref().or_else(|| self.by_depth.get(slot(depth))?.as_ref())
    }

    fn set(&mut self, depth: i8, planned: &Planned) {
        if planned.as_ref().is_ok_and(|plan| plan.complete) {
            self.by_depth = Vec::new();
            self.complete = Some(planned.clone());
            return;
        }
        let slot = slot(depth);
        if self.by_depth.len() <= slot {
            self.by_depth.resize(slot + 1, None);
        }
        if let Some(place) = self.by_depth.get_mut(slot) {
            *place = Some(planned.clone());
        }
    }
}

fn slot(depth: i8) -> usize {
    usize::try_from(depth.saturating_add(1)).unwrap_or(0)
}

impl<'s> Planner<'s> {
    pub(crate) fn new(schemas: &'s Schemas, direction: Direction, examples: bool) -> Self {
        let single = vec![Memory::default(); schemas.len()];
        let (several, members) = (HashMap::new(), HashMap::new());
        Planner { schemas, direction, examples, single, several, members }
    }

    /// The plan for a whole body: as deep as fits a comfortable size.
    pub(crate) fn body(&mut self, id: SchemaId) -> Planned {
        self.deepen(|planner, depth| planner.plan(&[id], depth))
    }

    /// The plans for a whole body that is one of several: each with what it is called.
    pub(crate) fn variants(&mut self, id: SchemaId) -> Vec<(Option<String>, Planned)> {
        let merged = Merged::of(self.schemas, &[id], &[]);
        let Some(open) = merged.open.filter(|open| open.branches.len() > 1) else {
            return vec![(None, self.body(id))];
        };
        let mut plans = Vec::new();
        for (at, branch) in open.branches.iter().enumerate() {
            let key = open.key;
            let plan = self.deepen(|planner, depth| {
                let mut attempts = MAX_ATTEMPTS;
                let chosen = [Chosen { key, branch: *branch }];
                planner.alternatives(&[id, *branch], &chosen, depth, &mut attempts).map(Arc::new)
            });
            let mapped =
                open.discriminator.and_then(|told| told.mapping.iter().find(|(_, target)| target == branch));
            let name = mapped
                .map(|(name, _)| name.to_string())
                .or_else(|| self.schemas.name(*branch).map(str::to_owned));
            plans.push((Some(name.unwrap_or_else(|| format!("variant{}", at + 1))), plan));
        }
        plans
    }

    fn deepen(&mut self, plan: impl Fn(&mut Self, i8) -> Planned) -> Planned {
        let mut best: Planned = Err(PlanError::TooDeep);
        for depth in 0..=MAX_DEPTH {
            match plan(self, depth) {
                Ok(found) if found.size > COMFORTABLE_SIZE && best.is_ok() => break,
                Ok(found) if found.size > LARGEST_SIZE => {
                    return impossible("it must have too many values");
                }
                Ok(found) => {
                    let done = found.complete;
                    best = Ok(found);
                    if done {
                        break;
                    }
                }
                Err(PlanError::TooDeep) => {}
                Err(error) => {
                    // With more room another alternative may do.
                    best = best.or(Err(error));
                }
            }
        }
        best
    }

    /// The plan for a value that all the schemas allow, of objects and lists nested so deep.
    pub(super) fn plan(&mut self, ids: &[SchemaId], depth: i8) -> Planned {
        let known = match ids {
            [id] => self.single.get(id.0 as usize),
            ids => self.several.get(ids),
        };
        if let Some(known) = known.and_then(|memory| memory.get(depth)) {
            return known.clone();
        }
        let mut attempts = MAX_ATTEMPTS;
        let planned = self.alternatives(ids, &[], depth, &mut attempts).map(Arc::new);
        let memory = match ids {
            [id] => self.single.get_mut(id.0 as usize),
            ids => Some(self.several.entry(ids.into()).or_default()),
        };
        if let Some(memory) = memory {
            memory.set(depth, &planned);
        }
        planned
    }

    /// Chooses where there is something to choose, in the order of the specification.
    fn alternatives(
        &mut self,
        ids: &[SchemaId],
        chosen: &[Chosen],
        depth: i8,
        attempts: &mut u32,
    ) -> Result<Plan, PlanError> {
        let schemas = self.schemas;
        let merged = Merged::of(schemas, ids, chosen);
        if merged.never {
            return impossible("what it has to be like contradicts itself");
        }
        let Some(open) = merged.open else { return self.proven(ids, &merged, depth) };
        let mut failure: Option<PlanError> = None;
        let only_null = |id: &SchemaId| schemas.get(schemas.follow(*id)).types == Types::NULL;
        let (last, first): (Vec<SchemaId>, Vec<SchemaId>) =
            open.branches.iter().copied().partition(only_null);
        for branch in first.into_iter().chain(last) {
            *attempts = attempts.saturating_sub(1);
            if *attempts == 0 {
                break;
            }
            let mut more: Vec<SchemaId> = ids.to_vec();
            if !more.contains(&branch) {
                more.push(branch);
            }
            let mut made = chosen.to_vec();
            made.push(Chosen { key: open.key, branch });
            match self.alternatives(&more, &made, depth, attempts) {
                Ok(plan) => {
                    let complete = plan.complete && failure != Some(PlanError::TooDeep);
                    return Ok(Plan { complete, ..plan });
                }
                // Not deep enough tells more than impossible.
                Err(error) => {
                    failure = Some(failure.filter(|known| *known == PlanError::TooDeep).unwrap_or(error))
                }
            }
        }
        Err(failure.unwrap_or(PlanError::Impossible("too many alternatives".into())))
    }

    /// A plan that is proven to give valid values, if need be by giving always the same one.
    fn proven(&mut self, ids: &[SchemaId], merged: &Merged<'s>, depth: i8) -> Result<Plan, PlanError> {
        let (plan, certain) = self.value(ids, merged, depth)?;
        let mut plan = plan;
        if (!certain || merged.uncertain) && !self.holds(&plan, ids) {
            let other = self.reduced(ids, merged, &plan).or_else(|| self.distinguished(ids, merged, &plan));
            plan = match other {
                Some(plan) => plan,
                None => self.sampled(ids, merged, &plan)?,
            };
        }
        plan.proven = ids.into();
        plan.xml = merged.xml.cloned().map(Arc::new);
        plan.name = merged.name.map(Arc::from);
        Ok(plan)
    }

    pub(super) fn is_valid(&self, ids: &[SchemaId], value: &Value) -> bool {
        ids.iter().all(|id| self.schemas.is_valid(*id, value, self.direction))
    }

    /// Objects without a member that need not be there, or without all of those.
    fn reduced(&self, ids: &[SchemaId], merged: &Merged<'s>, plan: &Plan) -> Option<Plan> {
        let PlanNode::Object(members) = &plan.node else { return None };
        let required = |name: &str| {
            let mut all = merged.objects.iter().flat_map(|rules| &rules.required);
            all.any(|known| **known == *name)
        };
        let without = |gone: &dyn Fn(&str) -> bool| {
            let left = members.iter().filter(|(name, _)| !gone(name));
            let left: Vec<_> = left.map(|(name, plan)| (name.clone(), plan.clone())).collect();
            let size = left.iter().fold(1_u32, |sum, (_, plan)| sum.saturating_add(plan.size));
            Plan { size, complete: plan.complete, ..Plan::leaf(PlanNode::Object(left)) }
        };
        let optional = members.iter().map(|(name, _)| &**name).filter(|name| !required(name));
        let mut fewer = optional.take(MAX_REMOVED).map(|gone| without(&|name| name == gone));
        let fewer = fewer.find(|plan| self.holds(plan, ids));
        fewer.or_else(|| Some(without(&|name| !required(name))).filter(|plan| self.holds(plan, ids)))
    }

    /// Objects that would fit several schemas of which they must fit one get members that only the
    /// others know, of a type that those refuse.
    fn distinguished(&self, ids: &[SchemaId], merged: &Merged<'s>, plan: &Plan) -> Option<Plan> {
        let PlanNode::Object(members) = &plan.node else { return None };
        let mut members: Vec<_> = members.iter().map(|(name, plan)| (name.clone(), plan.clone())).collect();
        for branch in &merged.refused {
            let other = Merged::of(self.schemas, &[*branch], &[]);
            let properties = other.objects.iter().flat_map(|rules| &rules.properties);
            let mut unknown = properties.filter(|(name, _)| !members.iter().any(|(known, _)| known == name));
            let wrong = [Value::Null, Value::Bool(false), Value::from(0), Value::from("")];
            let found = unknown.find_map(|(name, id)| {
                let value = wrong.iter().find(|value| !self.is_valid(&[*id], value))?;
                Some((name.clone(), Arc::new(Plan::literal(value.clone()))))
            });
            members.extend(found);
        }
        let complete = plan.complete;
        let size = members.iter().fold(1_u32, |sum, (_, plan)| sum.saturating_add(plan.size));
        let plan = Plan { size, complete, ..Plan::leaf(PlanNode::Object(members)) };
        self.holds(&plan, ids).then_some(plan)
    }

    /// One valid value among samples and examples.
    fn sampled(&self, ids: &[SchemaId], merged: &Merged<'s>, plan: &Plan) -> Result<Plan, PlanError> {
        let mut given = merged.examples.iter().copied().chain(merged.default);
        let samples = (0..MAX_SAMPLES).map(|seed| Sampler::new(seed).value(plan));
        // Words are all alike; other texts may do.
        let other = super::texts::other(plan);
        let others =
            other.iter().flat_map(|plan| (0..MAX_SAMPLES).map(|seed| Sampler::new(seed).value(plan)));
        let found = samples.chain(others).find(|value| self.is_valid(ids, value));
        match found.or_else(|| given.find(|value| self.is_valid(ids, value)).cloned()) {
            Some(value) => Ok(Plan { complete: plan.complete, ..Plan::literal(value) }),
            None if !merged.refused.is_empty() => impossible(
                "what was tried fits none, or several, of the alternatives of which it must fit one",
            ),
            None => impossible("no valid value was found"),
        }
    }

    /// A plan, and whether all its values are known to be valid.
    fn value(&mut self, ids: &[SchemaId], merged: &Merged<'s>, depth: i8) -> Result<(Plan, bool), PlanError> {
        if let Some(plan) = self.listed(ids, merged)? {
            return Ok((plan, true));
        }
        if self.examples
            && let Some(plan) = self.exemplary(ids, merged)
        {
            return Ok((plan, true));
        }
        let mut failure: Option<PlanError> = None;
        for types in preferred(merged) {
            match self.typed(ids, merged, types, depth) {
                Ok(plan) => return Ok(plan),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or(PlanError::Impossible("it has no type".into())))
    }

    fn typed(
        &mut self,
        ids: &[SchemaId],
        merged: &Merged<'s>,
        types: Types,
        depth: i8,
    ) -> Result<(Plan, bool), PlanError> {
        match types {
            Types::OBJECT => self.object(ids, merged, depth),
            Types::ARRAY => self.array(merged, depth),
            Types::STRING => super::texts::text(merged),
            Types::INTEGER => super::numbers::integer(merged).map(|plan| (plan, true)),
            Types::NUMBER => super::numbers::fraction(merged).map(|plan| (plan, true)),
            Types::BOOLEAN => Ok((Plan::leaf(PlanNode::Boolean), true)),
            _ => Ok((Plan::literal(Value::Null), true)),
        }
    }

    /// For schemas that list their values.
    fn listed(&self, ids: &[SchemaId], merged: &Merged<'s>) -> Result<Option<Plan>, PlanError> {
        let listed: Vec<&Value> = match (merged.constants.first(), merged.allowed.first()) {
            (Some(constant), _) => vec![constant],
            (None, Some(values)) => values.iter().collect(),
            (None, None) => return Ok(None),
        };
        let mut values: Vec<Value> = Vec::new();
        for value in listed {
            if !values.contains(value) && self.is_valid(ids, value) {
                values.push(value.clone());
            }
        }
        if values.iter().any(|value| !value.is_null()) {
            values.retain(|value| !value.is_null());
        }
        match values.len() {
            0 => impossible("none of the values that it lists is valid"),
            1 => Ok(values.pop().map(Plan::literal)),
            _ => Ok(Some(Plan::leaf(PlanNode::Choice(values)))),
        }
    }

    /// The example or the default, if that is a scalar, or if the schema says nothing better.
    fn exemplary(&self, ids: &[SchemaId], merged: &Merged<'s>) -> Option<Plan> {
        let vague = merged.arrays.is_empty()
            && merged.objects.iter().all(|rules| rules.properties.is_empty() && rules.patterns.is_empty());
        let useful = |value: &&&Value| match value {
            Value::Null => false,
            Value::Array(_) | Value::Object(_) => vague && super::size_of(value) <= COMFORTABLE_SIZE,
            _ => true,
        };
        let mut given = merged.examples.iter().chain(&merged.default).filter(useful);
        given.find(|value| self.is_valid(ids, value)).map(|value| Plan::literal((*value).clone()))
    }
}

/// The types to try: first those of which something is said.
fn preferred(merged: &Merged<'_>) -> Vec<Types> {
    let all = [
        (Types::OBJECT, !merged.objects.is_empty()),
        (Types::ARRAY, !merged.arrays.is_empty()),
        (Types::STRING, !merged.strings.is_empty()),
        (Types::INTEGER, !merged.numbers.is_empty() && !merged.types.allows(Types::FRACTION)),
        (Types::NUMBER, !merged.numbers.is_empty()),
        (Types::BOOLEAN, false),
        (Types::NULL, false),
    ];
    let allowed = |types: Types| match types {
        Types::NUMBER => merged.types.allows(Types::FRACTION),
        Types::INTEGER => merged.types.allows(Types::INTEGER) && !merged.types.allows(Types::FRACTION),
        types => merged.types.allows(types),
    };
    let mut list: Vec<(Types, bool)> = all.into_iter().filter(|(types, _)| allowed(*types)).collect();
    // A stable sort keeps the order otherwise.
    list.sort_by_key(|(_, said)| !said);
    list.into_iter().map(|(types, _)| types).collect()
}
