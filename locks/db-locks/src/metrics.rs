//! Prometheus metrics, registered in the registry that the caller gives.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db_locks_core::{LockError, LockResult};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics of all the managers that share one registry.
#[derive(Debug, Clone)]
pub(crate) struct LockMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    waits: HistogramVec,
    held: IntGaugeVec,
    waiting: IntGaugeVec,
    lost: IntCounterVec,
}

/// From a tenth of a millisecond to a minute.
const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];

/// The registries in use and the metrics registered there: Prometheus refuses to register the same names twice,
/// and several managers in one registry shall add up.
static REGISTERED: Mutex<Vec<(Registry, LockMetrics)>> = Mutex::new(Vec::new());

impl LockMetrics {
    /// The metrics of this registry, registered at the first call.
    pub(crate) fn register(registry: &Registry) -> LockResult<Self> {
        let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, metrics) in registered.iter() {
            if same_registry(known, registry)? {
                return Ok(metrics.clone());
            }
        }
        let metrics = Self::new().map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.requests.clone())).map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.durations.clone())).map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.waits.clone())).map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.held.clone())).map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.waiting.clone())).map_err(prometheus_failed)?;
        registry.register(Box::new(metrics.lost.clone())).map_err(prometheus_failed)?;
        registered.push((registry.clone(), metrics.clone()));
        Ok(metrics)
    }

    fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)
        };
        Ok(Self {
            requests: IntCounterVec::new(
                Opts::new("db_locks_requests_total", "Operations by outcome."),
                &["operation", "outcome", "store"],
            )?,
            durations: histogram(
                "db_locks_request_duration_seconds",
                "Time of an operation in the database, retries included; for acquire without the waiting.",
                &["operation", "outcome", "store"],
            )?,
            waits: histogram(
                "db_locks_wait_duration_seconds",
                "Time from asking for a lock until it was granted or given up.",
                &["outcome", "store"],
            )?,
            held: IntGaugeVec::new(Opts::new("db_locks_held", "Locks held by this process."), &["store"])?,
            waiting: IntGaugeVec::new(
                Opts::new("db_locks_waiting", "Callers of this process that wait for a lock."),
                &["store"],
            )?,
            lost: IntCounterVec::new(
                Opts::new("db_locks_lost_total", "Locks lost before they were released, by reason."),
                &["reason", "store"],
            )?,
        })
    }

    /// One operation ended.
    pub(crate) fn request<T>(&self, store: &str, operation: &str, took: Duration, result: &LockResult<T>) {
        let outcome = outcome(result.as_ref().err());
        self.request_outcome(store, operation, took, outcome);
    }

    /// One operation ended with this outcome.
    pub(crate) fn request_outcome(&self, store: &str, operation: &str, took: Duration, outcome: &str) {
        let labels = [operation, outcome, store];
        self.requests.with_label_values(&labels).inc();
        self.durations.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// Waiting ended.
    pub(crate) fn waited<T>(&self, store: &str, took: Duration, result: &LockResult<T>) {
        self.waits.with_label_values(&[outcome(result.as_ref().err()), store]).observe(took.as_secs_f64());
    }

    /// The gauge of held locks.
    pub(crate) fn held(&self, store: &str) -> IntGauge {
        self.held.with_label_values(&[store])
    }

    /// The gauge of waiting callers.
    pub(crate) fn waiting(&self, store: &str) -> IntGauge {
        self.waiting.with_label_values(&[store])
    }

    /// Locks were lost.
    pub(crate) fn lost(&self, store: &str, reason: &str, count: u64) {
        self.lost.with_label_values(&[reason, store]).inc_by(count);
    }
}

fn outcome(error: Option<&LockError>) -> &'static str {
    error.map_or("ok", |error| error.kind().as_str())
}

fn prometheus_failed(error: prometheus::Error) -> LockError {
    LockError::runtime_from("cannot register the metrics", error)
}

/// Registries have no identity to compare, but two handles of one registry refuse the same collector twice.
fn same_registry(a: &Registry, b: &Registry) -> LockResult<bool> {
    let probe = IntGauge::new("db_locks_registry_probe", "never exported").map_err(prometheus_failed)?;
    a.register(Box::new(probe.clone())).map_err(prometheus_failed)?;
    let same = b.register(Box::new(probe.clone())).is_err();
    a.unregister(Box::new(probe.clone())).map_err(prometheus_failed)?;
    if !same {
        b.unregister(Box::new(probe)).map_err(prometheus_failed)?;
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_of_one_registry_add_up_and_of_two_do_not() {
        let (one, two) = (Registry::new(), Registry::new());
        let a = LockMetrics::register(&one).unwrap();
        let b = LockMetrics::register(&one.clone()).unwrap();
        let c = LockMetrics::register(&two).unwrap();
        for metrics in [&a, &b, &c] {
            metrics.request("sqlite", "release", Duration::from_millis(1), &Ok(()));
        }
        let count = |registry: &Registry| {
            let families = registry.gather();
            let family = families.iter().find(|f| f.name() == "db_locks_requests_total").unwrap();
            family.get_metric()[0].get_counter().get_value()
        };
        assert_eq!((count(&one), count(&two)), (2.0, 1.0));
    }
}
