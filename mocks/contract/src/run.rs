//! Sends requests, checks answers, counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use api_mock_datagen::Rng;
use api_mock_template::Value;
use api_mock_template::time::CivilTime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, Target};
use crate::curl;
use crate::make::Draw;
use crate::options::{RunError, RunOptions};
use crate::plan::{Plan, Prepared};
use crate::report::{Failure, Report, ScenarioReport};
use crate::secret;
use crate::source::Contract;

/// Requests of one run.
const MAX_REQUESTS: u64 = 10_000_000;
/// Failures that are told one by one, and requests of a dry run.
const TOLD: usize = 100;
const MAX_CONCURRENCY: usize = 256;
const DEFAULT_TIMES: u32 = 5;

/// How far a run is; look at it whenever you like.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    failed: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    /// How many requests are done, how many of them failed, and how many there will be.
    #[must_use]
    pub fn now(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.done), read(&self.failed), read(&self.all))
    }
}

/// What all workers share.
struct Shared {
    plans: Vec<Plan>,
    /// Of scenarios that are not tried, but whose answers may come.
    others: Vec<Plan>,
    target: Option<Arc<Target>>,
    origin: String,
    options: RunOptions,
    times: u64,
    next: AtomicU64,
    begun: Instant,
    is_late: AtomicBool,
    now: CivilTime,
    /// The same, since the begin of 1970.
    seconds: i64,
    tally: Mutex<Tally>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Tally {
    /// For each scenario: succeeded, failed.
    counts: Vec<(u64, u64)>,
    /// By number of the request, so that it is always the same ones that are told.
    failures: BTreeMap<u64, Failure>,
    requests: BTreeMap<u64, String>,
}

/// Tries the scenarios on the service at `base_url`. Dropping the future ends it at once.
///
/// # Errors
/// There is no run: the base is no address, or one that may not be asked. What goes wrong with single requests is in
/// the report.
pub async fn run(
    contracts: &[Contract],
    base_url: &str,
    options: RunOptions,
    progress: Arc<Progress>,
) -> Result<Report, RunError> {
    let (skipped, tried): (Vec<&Contract>, Vec<&Contract>) =
        contracts.iter().partition(|contract| contracts.len() > 1 && contract.is_only_for_mocks());
    let times = u64::from(if options.times == 0 { DEFAULT_TIMES } else { options.times });
    let all = times.saturating_mul(tried.len() as u64);
    if all > MAX_REQUESTS {
        return Err(RunError::TooMany { wanted: all, allowed: MAX_REQUESTS });
    }
    progress.all.store(all, Ordering::Relaxed);
    let target = Target::find(base_url, &options).await?;
    let now = options.now.unwrap_or_else(SystemTime::now);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let workers =
        options.concurrency.clamp(1, MAX_CONCURRENCY).min(usize::try_from(all).unwrap_or(usize::MAX));
    let others: Vec<Plan> = skipped.iter().map(|contract| Plan::new(contract, &options)).collect();
    let mut plans: Vec<Plan> = tried.iter().map(|contract| Plan::new(contract, &options)).collect();
    // Answers to one may be checked by the rules of another.
    let want_data = plans.iter().chain(&others).any(|plan| plan.answer.wants_data());
    plans.iter_mut().for_each(|plan| plan.wants_data |= want_data);
    let shared = Arc::new(Shared {
        others,
        plans,
        origin: target.origin.clone(),
        target: (!options.dry_run).then(|| Arc::new(target)),
        times,
        next: AtomicU64::new(0),
        begun: Instant::now(),
        is_late: AtomicBool::new(false),
        now: CivilTime::from_unix(seconds, 0, 0, "UTC"),
        seconds,
        tally: Mutex::new(Tally { counts: vec![(0, 0); tried.len()], ..Tally::default() }),
        progress,
        options,
    });
    let mut set = JoinSet::new();
    for _ in 0..workers {
        set.spawn(work(Arc::clone(&shared)));
    }
    while set.join_next().await.is_some() {}
    Ok(report(&shared, all, &skipped))
}

fn report(shared: &Shared, all: u64, skipped: &[&Contract]) -> Report {
    let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let tally = std::mem::take(&mut *tally);
    let sum = |count: fn(&(u64, u64)) -> u64| tally.counts.iter().map(count).sum::<u64>();
    let (succeeded, failed) = (sum(|counts| counts.0), sum(|counts| counts.1));
    let failures: Vec<Failure> = tally.failures.into_values().collect();
    let scenarios = shared.plans.iter().zip(&tally.counts).map(|(plan, (succeeded, failed))| {
        ScenarioReport { scenario: plan.address.clone(), succeeded: *succeeded, failed: *failed }
    });
    Report {
        errors: (!failures.is_empty()).then(|| failures.iter().map(ToString::to_string).collect()),
        failed,
        succeeded,
        not_sent: if shared.options.dry_run { 0 } else { all - succeeded - failed },
        seed: shared.options.seed,
        now: shared.seconds,
        scenarios: scenarios.collect(),
        skipped: skipped.iter().map(|contract| contract.address()).collect(),
        failures,
        requests: tally.requests.into_values().collect(),
    }
}

/// One worker: takes the next request until there is none.
async fn work(shared: Arc<Shared>) {
    let mut client = shared.target.clone().map(Client::new);
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(number / shared.times).unwrap_or(usize::MAX);
        let Some(plan) = shared.plans.get(at) else { return };
        if !shared.wait_for_turn(number).await {
            return;
        }
        let execution = number % shared.times + 1;
        let mut draw = shared.draw(plan, execution);
        match (plan.draw(&mut draw, execution), &mut client) {
            (Ok(request), Some(client)) => {
                let answered = client.send(&request).await;
                let checked = answered.and_then(|answer| shared.check(plan, &answer, &request, &mut draw));
                shared.count(at, number, execution, checked.map_err(|reason| (reason, Some(&request))));
            }
            (Ok(request), None) => shared.note(number, &request),
            (Err(reason), _) => {
                let reason = format!("no request can be made: {reason}");
                shared.count(at, number, execution, Err((reason, None)));
            }
        }
    }
}

impl Shared {
    /// What a request draws from: the same whatever else is in the run.
    fn draw(&self, plan: &Plan, execution: u64) -> Draw {
        let seed =
            self.options.seed.rotate_left(17) ^ plan.salt ^ execution.wrapping_mul(0xd134_2543_de82_ef95);
        Draw { rng: Rng::seeded(seed), data: Value::Nil, now: self.now.clone() }
    }

    /// Waits as the rate says; false if time is up.
    async fn wait_for_turn(&self, number: u64) -> bool {
        let end = self.options.deadline.map(|deadline| self.begun + deadline);
        if let Some(rate) = self.options.rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
            #[allow(clippy::cast_precision_loss, reason = "runs are shorter than that")]
            let after =
                Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::from_secs(1 << 32));
            let turn = self.begun + after;
            if end.is_some_and(|end| turn > end) {
                return false;
            }
            if turn > Instant::now() {
                tokio::time::sleep_until(turn).await;
            }
        }
        if end.is_some_and(|end| Instant::now() > end) {
            self.is_late.store(true, Ordering::Relaxed);
        }
        !self.is_late.load(Ordering::Relaxed)
    }

    /// Checks an answer by the scenario; or by others of the same method and path that have this status: another
    /// success, another form of an answer of a specification, or, if that is allowed, any.
    fn check(
        &self,
        plan: &Plan,
        answer: &crate::answer::Answer,
        request: &Prepared,
        draw: &mut Draw,
    ) -> Result<(), String> {
        let mut check = |plan: &Plan| plan.answer.check(answer, &request.method, &request.data, draw);
        let checked = check(plan);
        let status = answer.status.as_u16();
        let may_be_another = self.options.accept_documented
            || (200..300).contains(&status) && (plan.is_imported || !plan.answer.accepts(answer.status));
        if checked.is_ok() || !may_be_another {
            return checked;
        }
        let mut told = checked;
        for other in self.plans.iter().chain(&self.others) {
            let is_meant = other.method == plan.method
                && other.path == plan.path
                && other.answer.status == Some(status)
                && other.address != plan.address;
            if !is_meant {
                continue;
            }
            match check(other) {
                Ok(()) => return Ok(()),
                // What promises this status says better what is wrong.
                wrong if !plan.answer.accepts(answer.status) => told = wrong,
                Err(_) => {}
            }
        }
        told
    }

    fn count(&self, at: usize, number: u64, execution: u64, result: Result<(), (String, Option<&Prepared>)>) {
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(counts), Some(plan)) = (tally.counts.get_mut(at), self.plans.get(at)) else { return };
        let Err((reason, request)) = result else {
            counts.0 += 1;
            return;
        };
        counts.1 += 1;
        self.progress.failed.fetch_add(1, Ordering::Relaxed);
        let full = tally.failures.len() >= TOLD;
        if full && tally.failures.last_key_value().is_some_and(|(last, _)| *last < number) {
            return;
        }
        let reason = match request.filter(|_| !self.options.show_secrets) {
            // A service may send back what it got.
            Some(request) => secret::of(request)
                .iter()
                .fold(reason, |reason, secret| reason.replace(secret.as_str(), secret::HIDDEN)),
            None => reason,
        };
        let curl = request.map(|request| self.curl(request)).unwrap_or_default();
        let failure = Failure { scenario: plan.address.clone(), execution, reason, curl };
        tally.failures.insert(number, failure);
        if full {
            tally.failures.pop_last();
        }
    }

    fn curl(&self, request: &Prepared) -> String {
        curl::line(&self.origin, request, self.options.show_secrets)
    }

    /// A request of a dry run.
    fn note(&self, number: u64, request: &Prepared) {
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests.insert(number, self.curl(request));
        if tally.requests.len() > TOLD {
            tally.requests.pop_last();
        }
    }
}
