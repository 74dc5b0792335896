//! Rules in force: they count the requests that come by, and draw by seed and count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_mock_datagen::Rng;
use api_mock_matcher::{Request, RequestFilter};
use api_mock_scenario::{FaultRule, FaultStage};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{FaultEffects, FaultPlan, InjectedFault, Replacement, draw};

/// Rules that came into force together.
#[derive(Debug)]
pub(crate) struct RuleSet {
    rules: Vec<Live>,
    since: Duration,
}

#[derive(Debug)]
struct Live {
    rule: FaultRule,
    label: Arc<str>,
    filter: Option<RequestFilter>,
    headers: Vec<(HeaderName, HeaderValue)>,
    contents: Option<Bytes>,
    /// Tells this rule's chance from that of others.
    purpose: u64,
    seen: AtomicU64,
}

impl RuleSet {
    /// Rules in force from now on; `None` if there are none. `scope` is whose they are.
    pub(crate) fn new(rules: &[FaultRule], scope: &str, since: Duration) -> Option<RuleSet> {
        let live =
            rules.iter().enumerate().map(|(number, rule)| Live::new(rule, &format!("{scope} {number}")));
        (!rules.is_empty()).then(|| RuleSet { rules: live.collect(), since })
    }

    /// Adds what goes wrong with this request to a plan.
    pub(crate) fn add_to(&self, plan: &mut FaultPlan, request: &Request, seed: u64, now: Duration) {
        let age = now.saturating_sub(self.since);
        self.rules.iter().for_each(|live| live.add_to(plan, request, seed, age));
    }
}

impl Live {
    fn new(rule: &FaultRule, purpose: &str) -> Live {
        let lists =
            rule.headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let header = |(name, value): (&str, &String)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        Live {
            label: rule.label().into(),
            filter: rule.request.as_deref().map(RequestFilter::new),
            headers: lists.filter_map(header).collect(),
            contents: rule.contents.clone().map(Bytes::from),
            purpose: Rng::for_purpose(0, purpose).next_u64(),
            seen: AtomicU64::new(0),
            rule: rule.clone(),
        }
    }

    fn add_to(&self, plan: &mut FaultPlan, request: &Request, seed: u64, age: Duration) {
        if self.filter.as_ref().is_some_and(|filter| !filter.fits(request)) {
            return;
        }
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let timing = &self.rule.timing;
        if !timing.counts(number) || !timing.is_time(age) {
            return;
        }
        // By the rule's own count: what else is asked meanwhile, and in which order, changes nothing.
        let mut rng =
            Rng::seeded(seed ^ self.purpose.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        if rng.float_between(0.0, 1.0) >= timing.probability {
            return;
        }
        self.inject(plan, &mut rng);
    }

    fn inject(&self, plan: &mut FaultPlan, rng: &mut Rng) {
        let rule = &self.rule;
        let status = rng.pick(&rule.status).and_then(|status| StatusCode::from_u16(*status).ok());
        let replaces = status.is_some() || self.contents.is_some() || !self.headers.is_empty();
        let effects = FaultEffects {
            delay: rule.delay.as_ref().map(|delay| draw::delay(delay, rng)).unwrap_or_default(),
            replacement: replaces.then(|| Replacement {
                status,
                headers: self.headers.clone(),
                contents: self.contents.clone(),
            }),
            connection: rule.connection,
            bytes_per_second: rule.bytes_per_second,
        };
        let kinds = [
            rule.connection.map(|connection| connection.kind()),
            status.map(|_| "status"),
            (replaces && status.is_none()).then_some("body"),
            rule.bytes_per_second.map(|_| "slow_drip"),
            rule.delay.as_ref().map(|_| "delay"),
        ];
        plan.injected.extend(
            kinds.into_iter().flatten().map(|kind| InjectedFault { rule: Arc::clone(&self.label), kind }),
        );
        plan.seed ^= rng.next_u64();
        match rule.stage() {
            FaultStage::BeforeUpstream => plan.before.add(effects),
            FaultStage::AfterUpstream => plan.after.add(effects),
        }
    }
}
