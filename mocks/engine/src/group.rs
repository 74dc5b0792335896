//! Groups in force: their variables and faults.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api_mock_matcher::Request;
use api_mock_scenario::{ALL_GROUPS, FaultRule, GroupConfig};
use api_mock_store::Snapshot;
use api_mock_template::Value;
use http::HeaderValue;

use crate::answer::{Answer, Refusal};
use crate::compiled::Compiled;
use crate::engine::asks_for_anything;
use crate::fault::{CHAOS_ENABLED, FAULT, FaultPlan, RuleSet};

/// What is set for groups, ready.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_name: HashMap<String, Arc<Group>>,
    all: Option<Arc<Group>>,
}

#[derive(Debug)]
struct Group {
    config: Arc<GroupConfig>,
    is_chaotic: bool,
    rules: Option<RuleSet>,
    variables: Vec<(Arc<str>, Value)>,
}

impl Groups {
    /// Those of a snapshot; what did not change goes on counting.
    pub(crate) fn new(snapshot: &Snapshot, old: &Groups, now: Duration) -> Groups {
        let group = |(name, config): (&String, &Arc<GroupConfig>)| {
            let present = old.by_name.get(name).filter(|group| Arc::ptr_eq(&group.config, config));
            (name.clone(), present.cloned().unwrap_or_else(|| Arc::new(Group::new(name, config, now))))
        };
        let by_name: HashMap<String, Arc<Group>> = snapshot.groups().iter().map(group).collect();
        Groups { all: by_name.get(ALL_GROUPS).cloned(), by_name }
    }

    fn of(&self, compiled: &Compiled) -> Option<&Group> {
        // Nearly always there is none at all.
        if self.by_name.is_empty() {
            return None;
        }
        self.by_name.get(&compiled.stored.scenario.group).map(|group| &**group)
    }

    /// The variables of a scenario's group.
    pub(crate) fn variables(&self, compiled: &Compiled) -> &[(Arc<str>, Value)] {
        self.of(compiled).map_or(&[], |group| &group.variables)
    }

    /// Lets go wrong with an answer what is to go wrong with it.
    pub(crate) fn disturb(
        &self,
        compiled: &Compiled,
        request: &Request,
        chance: Chance,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let group = self.of(compiled);
        if let Some(group) = group {
            let said = if group.is_chaotic { "true" } else { "false" };
            let said = (CHAOS_ENABLED, HeaderValue::from_static(said));
            answer.headers = answer.headers.iter().cloned().chain([said]).collect();
        }
        let sets = [compiled.faults.as_ref(), group.and_then(|group| group.rules.as_ref())];
        if let Some(plan) = self.plan(sets, request, chance)? {
            plan.spoil(answer);
        }
        Ok(())
    }

    /// What goes wrong with a request that no scenario is for.
    pub(crate) fn plan_of_others(
        &self,
        request: &Request,
        chance: Chance,
    ) -> Result<Option<Box<FaultPlan>>, Refusal> {
        Ok(self.plan([None, None], request, chance)?.map(Box::new))
    }

    fn plan(
        &self,
        sets: [Option<&RuleSet>; 2],
        request: &Request,
        chance: Chance,
    ) -> Result<Option<FaultPlan>, Refusal> {
        let all = self.all.as_ref().and_then(|all| all.rules.as_ref());
        let asked = asks_for_anything(request).then(|| request.headers.get(FAULT)).flatten();
        if asked.is_none() && all.is_none() && sets.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut plan = FaultPlan::default();
        if let Some(asked) = asked {
            let text = String::from_utf8_lossy(asked.as_bytes());
            let rule =
                FaultRule::parse(&text).map_err(|error| Refusal::BadFault { message: error.to_string() })?;
            // It is for this request, whatever it says.
            let rule = FaultRule { request: None, ..rule };
            if let Some(rules) = RuleSet::new(&[rule], "request", chance.now) {
                rules.add_to(&mut plan, request, chance.seed ^ chance.number, chance.now);
            }
        }
        for rules in sets.into_iter().chain([all]).flatten() {
            rules.add_to(&mut plan, request, chance.seed, chance.now);
        }
        Ok((!plan.injected.is_empty()).then(|| plan.within(chance.longest)))
    }
}

/// What chance and limits there are for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) now: Duration,
    pub(crate) longest: Duration,
}

impl Group {
    fn new(name: &str, config: &Arc<GroupConfig>, now: Duration) -> Group {
        let variables = config.variables.iter();
        Group {
            is_chaotic: config.is_chaotic(),
            rules: RuleSet::new(&config.rules(), &format!("group {name}"), now),
            variables: variables.map(|(name, value)| (Arc::from(name), Value::from(value))).collect(),
            config: Arc::clone(config),
        }
    }
}
