//! Figures for Prometheus.

use std::time::Instant;

use api_mock_engine::FaultPlan;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

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
    pub(crate) answered: IntCounter,
    pub(crate) not_matched: IntCounter,
    pub(crate) failed: IntCounter,
    /// To a real service.
    pub(crate) forwarded: IntCounter,
    faults: IntCounterVec,
    /// Not as its specification wants it.
    pub(crate) invalid: IntCounter,
    pub(crate) admin: IntCounter,
    /// Without the waits that were asked for.
    playback_seconds: Histogram,
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
        let options = HistogramOpts::new(
            "api_mock_playback_seconds",
            "Time to make an answer, without the waits that were asked for.",
        );
        let playback_seconds = Histogram::with_opts(options.buckets(BUCKETS_SECONDS.to_vec()))?;
        let faults = IntCounterVec::new(
            Opts::new("api_mock_faults_total", "Faults injected, by what they do."),
            &["fault"],
        )?;
        registry.register(Box::new(faults.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(scenarios.clone()))?;
        registry.register(Box::new(playback_seconds.clone()))?;
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
            playback_seconds,
        })
    }

    pub(crate) fn note_playback(&self, begun: Instant) {
        self.playback_seconds.observe(begun.elapsed().as_secs_f64());
    }

    /// Counts the faults of one answer.
    pub(crate) fn note_faults(&self, plan: &FaultPlan) {
        plan.injected.iter().for_each(|fault| self.faults.with_label_values(&[fault.kind]).inc());
    }

    /// In the text format of Prometheus, and its content type.
    pub(crate) fn text(&self) -> Result<(String, Vec<u8>), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
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
