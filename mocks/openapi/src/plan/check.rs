//! Whether all that a plan makes is valid: worked out from the plan, not tried.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::build::Planner;
use super::{Plan, PlanNode, Text};
use crate::schema::{
    Amount, ArrayRules, Direction, Format, Logic, NumberRules, ObjectRules, Schema, SchemaId, Schemas,
    StringRules, Types,
};

/// How deep schemas apply schemas.
const MAX_DEPTH: u32 = 200;
/// How many schemas are applied in all.
const MAX_STEPS: u32 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// Of everything that the plan makes.
    Yes,
    /// Of nothing.
    No,
    Maybe,
}

use Truth::{Maybe, No, Yes};

impl Truth {
    fn not(self) -> Truth {
        match self {
            Yes => No,
            No => Yes,
            Maybe => Maybe,
        }
    }
}

/// Yes if all are, No if one is not.
fn all(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let mut result = Yes;
    for truth in truths {
        match truth {
            No => return No,
            Maybe => result = Maybe,
            Yes => {}
        }
    }
    result
}

fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    all(truths.into_iter().map(Truth::not)).not()
}

/// Yes or no, if that is known.
fn known(truth: bool) -> Truth {
    if truth { Yes } else { No }
}

/// Yes if it is certain, else unknown.
fn perhaps(truth: bool) -> Truth {
    if truth { Yes } else { Maybe }
}

impl Planner<'_> {
    /// Whether everything that the plan makes is valid for all the schemas.
    pub(super) fn holds(&self, plan: &Plan, ids: &[SchemaId]) -> bool {
        let mut proof = Proof { schemas: self.schemas, direction: self.direction, depth: 0, steps: 0 };
        ids.iter().all(|id| proof.schema(plan, *id) == Yes)
    }
}

struct Proof<'s> {
    schemas: &'s Schemas,
    direction: Direction,
    depth: u32,
    steps: u32,
}

impl Proof<'_> {
    fn schema(&mut self, plan: &Plan, id: SchemaId) -> Truth {
        if plan.proven.contains(&id) {
            return Yes;
        }
        match &plan.node {
            PlanNode::Literal(value) => return self.exact(value, id),
            PlanNode::Choice(values) => {
                let truths: Vec<Truth> = values.iter().map(|value| self.exact(value, id)).collect();
                let all_of = |wanted: Truth| truths.iter().all(|truth| *truth == wanted);
                return if all_of(Yes) {
                    Yes
                } else if all_of(No) {
                    No
                } else {
                    Maybe
                };
            }
            _ => {}
        }
        self.steps += 1;
        if self.depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return Maybe;
        }
        self.depth += 1;
        let truth = self.rules(plan, self.schemas.get(id));
        self.depth -= 1;
        truth
    }

    fn exact(&mut self, value: &Value, id: SchemaId) -> Truth {
        known(self.schemas.is_valid(id, value, self.direction))
    }

    fn rules(&mut self, plan: &Plan, schema: &Schema) -> Truth {
        let types = types_of(plan);
        if schema.never || !schema.types.allows(types) {
            return No;
        }
        // A number with a fraction may happen to be an integer, but not reliably.
        let mut truths = vec![perhaps(schema.types.allows_all(types))];
        if let Some(id) = schema.reference {
            truths.push(self.schema(plan, id));
        }
        if let Some(values) = &schema.values {
            let lists = values.enumeration.iter().flatten().chain(&values.constant);
            if values.enumeration.is_some() || values.constant.is_some() {
                let same_type = lists.into_iter().any(|value| types.allows(Types::of(value)));
                truths.push(if same_type { Maybe } else { No });
            }
        }
        match &plan.node {
            PlanNode::Text(text) => truths.extend(schema.string.iter().map(|rules| string(text, rules))),
            PlanNode::Integer { min, max } => {
                let ends = (Amount::Whole((*min).into()), Amount::Whole((*max).into()));
                truths.extend(schema.number.iter().map(|rules| number(ends, true, rules)));
            }
            PlanNode::Fraction { min, max } => {
                let ends = (Amount::Float(*min), Amount::Float(*max));
                truths.extend(schema.number.iter().map(|rules| number(ends, false, rules)));
            }
            PlanNode::Array { .. } => {
                truths.extend(schema.array.iter().map(|rules| self.array(&plan.node, rules)));
            }
            PlanNode::Object(members) => {
                truths.extend(schema.object.iter().map(|rules| self.object(members, rules)));
            }
            PlanNode::FreeObject => truths.extend(schema.object.iter().map(|rules| free(rules))),
            _ => {}
        }
        if let Some(logic) = &schema.logic {
            truths.push(self.logic(plan, logic));
        }
        all(truths)
    }

    fn array(&mut self, node: &PlanNode, rules: &ArrayRules) -> Truth {
        let PlanNode::Array { prefix, item, min, max } = node else { return Maybe };
        let mut truths = vec![range((*min, *max), rules.min, rules.max), perhaps(!rules.unique || *max <= 1)];
        let placed = prefix.len() as u64;
        for at in 0..*max {
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            let wanted = rules.prefix.get(index).copied().or(rules.items);
            let plan = prefix.get(index).or(item.as_ref());
            if let (Some(id), Some(plan)) = (wanted, plan) {
                let truth = self.schema(plan, id);
                // What may be missing cannot make the whole wrong for certain.
                truths.push(if truth == No && at >= *min { Maybe } else { truth });
            }
            // All further items are alike.
            if at >= placed && index >= rules.prefix.len() {
                break;
            }
        }
        if let Some(contains) = rules.contains {
            let found: Vec<Truth> = prefix.iter().map(|plan| self.schema(plan, contains.schema)).collect();
            let sure = found.iter().filter(|truth| **truth == Yes).count() as u64;
            let others = item.as_ref().map_or(No, |plan| self.schema(plan, contains.schema));
            let exact = found.iter().all(|truth| *truth != Maybe) && others == No;
            let few = contains.max.is_none_or(|most| exact && sure <= most);
            truths.push(perhaps(sure >= contains.min && few));
        }
        all(truths)
    }

    fn object(&mut self, members: &[(Box<str>, std::sync::Arc<Plan>)], rules: &ObjectRules) -> Truth {
        let has = |name: &str| members.iter().any(|(known, _)| **known == *name);
        let count = members.len() as u64;
        let mut truths = vec![range((count, count), rules.min, rules.max)];
        for name in &rules.required {
            let optional = rules
                .property(name)
                .is_some_and(|id| self.direction.leaves_out(self.schemas.get(self.schemas.follow(id))));
            if !has(name) && !optional {
                return No;
            }
        }
        for (name, plan) in members {
            match self.member(name, plan, rules) {
                No => return No,
                truth => truths.push(truth),
            }
        }
        for (name, wanted) in &rules.dependent_required {
            truths.push(known(!has(name) || wanted.iter().all(|name| has(name))));
        }
        for (name, id) in &rules.dependent_schemas {
            if has(name) {
                let whole = PlanNode::Object(
                    members.iter().map(|(name, plan)| (name.clone(), plan.clone())).collect(),
                );
                truths.push(self.schema(&Plan::leaf(whole), *id));
            }
        }
        all(truths)
    }

    fn member(&mut self, name: &str, plan: &Plan, rules: &ObjectRules) -> Truth {
        let mut ids: Vec<SchemaId> = rules.property(name).into_iter().collect();
        let matching =
            rules.patterns.iter().filter(|(pattern, _)| pattern.is_checked() && pattern.is_match(name));
        ids.extend(matching.map(|(_, id)| *id));
        if ids.is_empty() {
            ids.extend(rules.additional);
        }
        let name_fits = rules.names.map_or(Yes, |id| self.exact(&Value::from(name), id));
        let mut truths: Vec<Truth> = ids.into_iter().map(|id| self.schema(plan, id)).collect();
        truths.push(name_fits);
        all(truths)
    }

    fn logic(&mut self, plan: &Plan, logic: &Logic) -> Truth {
        let mut truths: Vec<Truth> = logic.all_of.iter().map(|id| self.schema(plan, *id)).collect();
        if let Some(chosen) = told(plan, logic).and_then(|value| logic.chosen(&value)) {
            truths.push(self.schema(plan, chosen));
        } else {
            if !logic.any_of.is_empty() {
                let branches: Vec<Truth> = logic.any_of.iter().map(|id| self.schema(plan, *id)).collect();
                truths.push(any(branches));
            }
            if !logic.one_of.is_empty() {
                let branches: Vec<Truth> = logic.one_of.iter().map(|id| self.schema(plan, *id)).collect();
                truths.push(one(&branches));
            }
        }
        if let Some(id) = logic.not {
            truths.push(self.schema(plan, id).not());
        }
        if let Some(id) = logic.condition {
            let then = logic.then.map_or(Yes, |id| self.schema(plan, id));
            let otherwise = logic.otherwise.map_or(Yes, |id| self.schema(plan, id));
            truths.push(match self.schema(plan, id) {
                Yes => then,
                No => otherwise,
                Maybe if then == otherwise => then,
                Maybe => Maybe,
            });
        }
        all(truths)
    }
}

/// Whether exactly one branch fits.
fn one(branches: &[Truth]) -> Truth {
    let count = |wanted: Truth| branches.iter().filter(|truth| **truth == wanted).count();
    match (count(Yes), count(Maybe)) {
        (1, 0) => Yes,
        (0, 0) | (2.., _) => No,
        _ => Maybe,
    }
}

/// The member that a discriminator looks at, if the plan always gives it the same value.
fn told(plan: &Plan, logic: &Logic) -> Option<Value> {
    let property = &logic.discriminator.as_ref()?.property;
    let PlanNode::Object(members) = &plan.node else { return None };
    let (_, member) = members.iter().find(|(name, _)| name == property)?;
    let PlanNode::Literal(value) = &member.node else { return None };
    Some(json!({ &**property: value }))
}

fn types_of(plan: &Plan) -> Types {
    match &plan.node {
        PlanNode::Literal(value) => Types::of(value),
        PlanNode::Choice(_) => Types::ANY,
        PlanNode::Boolean => Types::BOOLEAN,
        PlanNode::Integer { .. } => Types::INTEGER,
        PlanNode::Fraction { .. } => Types::NUMBER,
        PlanNode::Text(_) => Types::STRING,
        PlanNode::Array { .. } => Types::ARRAY,
        PlanNode::Object(_) | PlanNode::FreeObject => Types::OBJECT,
    }
}

/// Whether all numbers of a range lie in another one.
fn range((low, high): (u64, u64), min: u64, max: Option<u64>) -> Truth {
    if high < min || max.is_some_and(|max| low > max) {
        return No;
    }
    perhaps(low >= min && max.is_none_or(|max| high <= max))
}

fn string(text: &Text, rules: &StringRules) -> Truth {
    let pattern = rules.pattern.as_ref().map_or(Yes, |wanted| {
        let same = text.pattern.as_ref().is_some_and(|pattern| pattern.source() == wanted.source());
        perhaps(same || !wanted.is_checked())
    });
    let format = rules.format.as_deref().and_then(Format::named).map_or(Yes, |wanted| {
        let same = text.format.is_some_and(|format| std::ptr::eq(format, wanted));
        perhaps(same || wanted.check.is_none())
    });
    all([range((text.min, text.max), rules.min, rules.max), pattern, format])
}

fn number((low, high): (Amount, Amount), integer: bool, rules: &NumberRules) -> Truth {
    let min = rules.min.map_or(Yes, |min| {
        if !min.refuses(low, Ordering::Less) {
            Yes
        } else if high.compare(min.amount()) == Ordering::Less {
            No
        } else {
            Maybe
        }
    });
    let max = rules.max.map_or(Yes, |max| match high.compare(max.amount()) {
        Ordering::Less => Yes,
        // The upper end of a range of fractions is not part of it.
        Ordering::Equal if !max.exclusive() || !integer => Yes,
        _ if low.compare(max.amount()) == Ordering::Greater => No,
        _ => Maybe,
    });
    let multiple = rules.multiple_of.map_or(Yes, |of| perhaps(integer && of == 1.0));
    all([min, max, multiple])
}

/// Of an object with two or three members of any name.
fn free(rules: &ObjectRules) -> Truth {
    if rules.additional.is_none() && rules.max.is_none_or(|max| max >= 3) && rules.min <= 2 {
        let nothing = rules.properties.is_empty()
            && rules.required.is_empty()
            && rules.patterns.is_empty()
            && rules.names.is_none()
            && rules.dependent_required.is_empty()
            && rules.dependent_schemas.is_empty();
        return perhaps(nothing);
    }
    Maybe
}
