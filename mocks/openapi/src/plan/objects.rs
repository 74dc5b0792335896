//! Plans for objects.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::build::{PlanError, Planner, impossible};
use super::merge::Merged;
use super::{Plan, PlanNode, Sampler};
use crate::schema::{ObjectRules, SchemaId};

/// Objects that must have more members than this, besides the known ones, are not generated.
const MOST_EXTRA: u64 = 200;

/// What several schemas say of a member.
pub(super) struct Member {
    name: Box<str>,
    ids: Vec<SchemaId>,
    required: bool,
    /// Some schema does not allow it.
    forbidden: bool,
    /// It stays out in this direction.
    left_out: bool,
}

struct Members {
    list: Vec<(Box<str>, Arc<Plan>)>,
    /// Whether each of them has to stay.
    required: Vec<bool>,
    complete: bool,
}

impl Planner<'_> {
    pub(super) fn object(
        &mut self,
        ids: &[SchemaId],
        merged: &Merged<'_>,
        depth: i8,
    ) -> Result<(Plan, bool), PlanError> {
        if depth < 0 {
            return Err(PlanError::TooDeep);
        }
        let rules = &merged.objects;
        let min = rules.iter().map(|rules| rules.min).max().unwrap_or(0);
        let max = rules.iter().filter_map(|rules| rules.max).min().unwrap_or(u64::MAX);
        if min > max {
            return impossible("it must have more members than it may");
        }
        if is_free(merged) && min <= 2 && max >= 3 {
            return Ok((Plan::leaf(PlanNode::FreeObject), true));
        }
        let mut members = self.known_members(ids, merged, depth)?;
        while members.list.len() as u64 > max {
            let Some(at) = members.required.iter().rposition(|required| !required) else {
                return impossible("it must have more members than it may");
            };
            members.list.remove(at);
            members.required.remove(at);
        }
        self.more_members(merged, &mut members, (min, max), depth)?;
        let size = members.list.iter().fold(1_u32, |sum, (_, plan)| sum.saturating_add(plan.size));
        let simple = rules.iter().all(|rules| {
            rules.names.is_none() && rules.dependent_required.is_empty() && rules.dependent_schemas.is_empty()
        });
        let complete = members.complete;
        let node = PlanNode::Object(members.list);
        Ok((Plan { size, complete, ..Plan::leaf(node) }, simple && merged.told.is_empty()))
    }

    /// The members that the schemas name, in their order.
    fn known_members(
        &mut self,
        ids: &[SchemaId],
        merged: &Merged<'_>,
        depth: i8,
    ) -> Result<Members, PlanError> {
        let known = match self.members.get(ids).filter(|_| merged.told.is_empty()) {
            Some(known) => known.clone(),
            None => {
                let found: Rc<[Member]> = self.named_members(merged).into();
                if merged.told.is_empty() {
                    self.members.insert(ids.into(), found.clone());
                }
                found
            }
        };
        let mut members = Members { list: Vec::new(), required: Vec::new(), complete: true };
        for member in known.iter().filter(|member| !member.left_out) {
            if member.forbidden {
                if member.required {
                    return impossible("it must have a member that it must not have");
                }
                continue;
            }
            match self.member_plan(merged, &member.name, &member.ids, depth) {
                Ok(plan) => {
                    members.complete &= plan.complete;
                    members.list.push((member.name.clone(), plan));
                    members.required.push(member.required);
                }
                Err(error) if member.required => return Err(error),
                Err(error) => members.complete &= error != PlanError::TooDeep,
            }
        }
        Ok(members)
    }

    fn named_members(&self, merged: &Merged<'_>) -> Vec<Member> {
        let named = merged.objects.iter().flat_map(|rules| rules.properties.iter().map(|(name, _)| name));
        let wanted = merged.objects.iter().flat_map(|rules| &rules.required);
        let wanted = wanted.chain(merged.objects.iter().flat_map(|rules| {
            let known = rules.dependent_required.iter().filter(|(name, _)| rules.property(name).is_some());
            known.flat_map(|(_, names)| names)
        }));
        let told = merged.told.iter().map(|(name, _)| *name);
        let mut seen = std::collections::HashSet::new();
        let names = named.chain(wanted).map(|name| &**name).chain(told).filter(|name| seen.insert(*name));
        names.map(|name| self.member(merged, name)).collect()
    }

    fn member_plan(
        &mut self,
        merged: &Merged<'_>,
        name: &str,
        ids: &[SchemaId],
        depth: i8,
    ) -> Result<Arc<Plan>, PlanError> {
        for (_, value) in merged.told.iter().filter(|(known, _)| *known == name) {
            let value = Value::from(value.as_str());
            if self.is_valid(ids, &value) {
                return Ok(Arc::new(Plan::literal(value)));
            }
        }
        self.plan_or_any(ids, depth - 1)
    }

    fn member(&self, merged: &Merged<'_>, name: &str) -> Member {
        let required = merged.objects.iter().any(|rules| rules.required.iter().any(|known| **known == *name));
        let (forbidden, left_out) = (false, false);
        let mut member = Member { name: name.into(), ids: Vec::new(), required, forbidden, left_out };
        for rules in &merged.objects {
            let before = member.ids.len();
            member.ids.extend(rules.property(name));
            let patterns = rules.patterns.iter();
            member.ids.extend(
                patterns
                    .filter(|(pattern, _)| pattern.is_checked() && pattern.is_match(name))
                    .map(|(_, id)| *id),
            );
            if member.ids.len() == before {
                member.ids.extend(rules.additional);
            }
            let schemas = member.ids.iter().skip(before).map(|id| self.schemas.get(self.schemas.follow(*id)));
            for schema in schemas {
                member.forbidden |= schema.never;
                member.left_out |= self.direction.leaves_out(schema);
            }
            let wrong_name = |id: SchemaId| !self.is_valid(&[id], &Value::from(name));
            member.forbidden |= rules.names.is_some_and(wrong_name);
        }
        let mut seen = Vec::new();
        member.ids.retain(|id| {
            let new = !seen.contains(id);
            seen.push(*id);
            new
        });
        member
    }

    /// Members that no schema names: as many as there must be, or one to show what they are like.
    fn more_members(
        &mut self,
        merged: &Merged<'_>,
        members: &mut Members,
        (min, max): (u64, u64),
        depth: i8,
    ) -> Result<(), PlanError> {
        let mut missing = min.saturating_sub(members.list.len() as u64);
        let is_map =
            merged.objects.iter().all(|rules| rules.properties.is_empty() && rules.required.is_empty());
        let show = is_map && missing == 0 && max > 0 && members.list.is_empty();
        if missing > MOST_EXTRA {
            return impossible("it must have more members than are generated");
        }
        let must = missing > 0;
        missing = missing.max(u64::from(show));
        let mut number = 0;
        while missing > 0 && number < MOST_EXTRA * 2 {
            number += 1;
            let Some(name) = self.new_name(merged, number) else { break };
            let known = members.list.iter().any(|(known, _)| **known == *name);
            let member = self.member(merged, &name);
            if known || member.forbidden || member.left_out {
                continue;
            }
            match self.plan_or_any(&member.ids, depth - 1) {
                Ok(plan) => {
                    members.complete &= plan.complete;
                    members.list.push((name.into(), plan));
                    members.required.push(true);
                    missing -= 1;
                }
                Err(error) if must => return Err(error),
                Err(error) => {
                    members.complete &= error != PlanError::TooDeep;
                    break;
                }
            }
        }
        if must && missing > 0 {
            return impossible("it must have more members than were found names for");
        }
        Ok(())
    }

    /// A name that the schemas allow, probably.
    fn new_name(&mut self, merged: &Merged<'_>, number: u64) -> Option<String> {
        let by_schema = merged.objects.iter().find_map(|rules| rules.names);
        if let Some(id) = by_schema {
            let plan = self.plan(&[id], 0).ok()?;
            return Sampler::new(number).value(&plan).as_str().map(str::to_owned);
        }
        let patterns = merged.objects.iter().flat_map(|rules| &rules.patterns);
        // A pattern for all names says nothing about them.
        let telling = patterns.map(|(pattern, _)| pattern).find(|pattern| !pattern.is_match("\u{1}"));
        match telling {
            Some(pattern) => {
                let plan = super::texts::from_expression(pattern.fitted(0, None)?);
                Sampler::new(number).value(&plan).as_str().map(str::to_owned)
            }
            None => Some(format!("key{number}")),
        }
    }
}

/// Whether nothing is said of the members.
fn is_free(merged: &Merged<'_>) -> bool {
    let free = |rules: &&ObjectRules| {
        rules.properties.is_empty()
            && rules.required.is_empty()
            && rules.patterns.is_empty()
            && rules.additional.is_none()
            && rules.names.is_none()
    };
    merged.told.is_empty() && merged.objects.iter().all(free)
}
