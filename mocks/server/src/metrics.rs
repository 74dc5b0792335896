//! Figures for Prometheus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use api_mock_engine::{FaultPlan, Lanes};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::StartError;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS_SECONDS: [f64; 12] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// What is counted. All of it is atomics that exist from the start, so that counting costs a request little.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) connections: IntGauge,
    pub(crate) scenarios: IntGauge,
    /// By what became of the request.
    answered: IntCounter,
    pub(crate) not_matched: IntCounter,
    pub(crate) failed: IntCounter,
    /// To a real service.
    pub(crate) forwarded: IntCounter,
    faults: IntCounterVec,
    /// Not as its specification wants it.
    pub(crate) invalid: IntCounter,
    pub(crate) admin: IntCounter,
    played: Played,
}

/// A histogram of the time that answers take, without the waits that were asked for.
#[derive(Clone)]
struct Played {
    desc: Desc,
    lanes: Arc<Lanes<Lane>>,
}

/// What each thread counts for itself, with each request.
#[derive(Default)]
struct Lane {
    /// Not yet in the sum of all threads.
    answered: AtomicU64,
    nanoseconds: AtomicU64,
    /// By the first bound that is not passed; the last is for those beyond all.
    buckets: [AtomicU64; BUCKETS_SECONDS.len() + 1],
}

impl Played {
    fn new() -> Result<Self, prometheus::Error> {
        let help = "Time to make an answer, without the waits that were asked for.";
        let desc = Desc::new("api_mock_playback_seconds".into(), help.into(), vec![], HashMap::new())?;
        Ok(Played { desc, lanes: Arc::new(Lanes::new(Lane::default)) })
    }

    fn observe(&self, begun: Instant) {
        let took = begun.elapsed();
        let lane = self.lanes.mine();
        let passed = BUCKETS_SECONDS.iter().take_while(|bound| took.as_secs_f64() > **bound).count();
        if let Some(bucket) = lane.buckets.get(passed) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        lane.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Collector for Played {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut buckets, mut count) = (Vec::new(), 0);
        let of = |at: usize| self.lanes.iter().filter_map(move |lane| lane.buckets.get(at));
        for (at, bound) in BUCKETS_SECONDS.into_iter().enumerate() {
            count += of(at).map(|bucket| bucket.load(Ordering::Relaxed)).sum::<u64>();
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
        count += of(BUCKETS_SECONDS.len()).map(|bucket| bucket.load(Ordering::Relaxed)).sum::<u64>();
        let nanoseconds: u64 = self.lanes.iter().map(|lane| lane.nanoseconds.load(Ordering::Relaxed)).sum();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(nanoseconds as f64 / 1e9);
        let mut metric = Metric::from_label(vec![]);
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, StartError> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("api_mock_requests_total", "Requests, by what became of them."),
            &["outcome"],
        )?;
        let connections = IntGauge::new("api_mock_connections", "Open connections.")?;
        let scenarios = IntGauge::new("api_mock_scenarios", "Scenarios that can answer.")?;
        let played = Played::new()?;
        let faults = IntCounterVec::new(
            Opts::new("api_mock_faults_total", "Faults injected, by what they do."),
            &["fault"],
        )?;
        registry.register(Box::new(faults.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(scenarios.clone()))?;
        registry.register(Box::new(played.clone()))?;
        Ok(Metrics {
            registry,
            connections,
            scenarios,
            answered: requests.with_label_values(&["answered"]),
            not_matched: requests.with_label_values(&["not_matched"]),
            failed: requests.with_label_values(&["failed"]),
            forwarded: requests.with_label_values(&["forwarded"]),
            faults,
            invalid: requests.with_label_values(&["invalid"]),
            admin: requests.with_label_values(&["admin"]),
            played,
        })
    }

    pub(crate) fn note_playback(&self, begun: Instant) {
        self.played.observe(begun);
    }

    pub(crate) fn note_answered(&self) {
        self.played.lanes.mine().answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the faults of one answer.
    pub(crate) fn note_faults(&self, plan: &FaultPlan) {
        plan.injected.iter().for_each(|fault| self.faults.with_label_values(&[fault.kind]).inc());
    }

    /// In the text format of Prometheus, and its content type.
    pub(crate) fn text(&self) -> Result<(String, Vec<u8>), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        for lane in self.played.lanes.iter() {
            self.answered.inc_by(lane.answered.swap(0, Ordering::Relaxed));
        }
        encoder.encode(&self.registry.gather(), &mut text)?;
        Ok((encoder.format_type().to_owned(), text))
    }
}

/// Something open, counted until it is dropped.
pub(crate) struct Open(IntGauge);

impl Open {
    pub(crate) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
