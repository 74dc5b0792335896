//! Faults as JSON, which is YAML too.

use std::time::Duration;

use api_mock_template::time::GoDuration;
use serde_json::{Map, Value, json};

use super::{ConnectionFault, Delay, FaultRequest, FaultRule, FaultStage, FaultTiming};

impl FaultRule {
    /// The rule as it may stand in a file; what is as if nothing was said is left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        if !self.name.is_empty() {
            put("name", self.name.as_str().into());
        }
        if let Some(request) = &self.request {
            put("request", request.to_json());
        }
        for (name, value) in self.timing.fields() {
            put(name, value);
        }
        match self.stage {
            Some(FaultStage::BeforeUpstream) => put("stage", "before_upstream".into()),
            Some(FaultStage::AfterUpstream) => put("stage", "after_upstream".into()),
            None => None,
        };
        if let Some(delay) = &self.delay {
            put("delay", delay.to_json());
        }
        match self.status.as_slice() {
            [] => None,
            [status] => put("status", (*status).into()),
            statuses => put("status", statuses.into()),
        };
        if !self.headers.is_empty() {
            put("headers", json!(self.headers));
        }
        if let Some(contents) = &self.contents {
            put("contents", contents.as_str().into());
        }
        if let Some(connection) = self.connection {
            put("fault", connection.kind().into());
            match connection {
                ConnectionFault::Reset { after_bytes: Some(bytes) }
                | ConnectionFault::Truncated { after_bytes: Some(bytes) } => put("after_bytes", bytes.into()),
                ConnectionFault::WrongContentLength { content_length: Some(length) } => {
                    put("content_length", length.into())
                }
                _ => None,
            };
        }
        if let Some(bytes) = self.bytes_per_second {
            put("bytes_per_second", bytes.get().into());
        }
        Value::Object(map)
    }
}

impl FaultTiming {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        let always = FaultTiming::default();
        let mut fields = Vec::new();
        if self.probability < 1.0 {
            fields.push(("probability", self.probability.into()));
        }
        if self.after > 0 {
            fields.push(("after", self.after.into()));
        }
        fields.extend(self.first.map(|first| ("first", first.into())));
        if self.every != always.every {
            fields.push(("every", self.every.into()));
        }
        if self.from > always.from {
            fields.push(("from", text(self.from)));
        }
        fields.extend(self.until.map(|until| ("until", text(until))));
        fields.extend(self.period.map(|period| ("period", text(period))));
        fields
    }
}

impl FaultRequest {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let rules = &self.rules;
        for (name, value) in [
            ("method", &self.method),
            ("path", &self.path),
            ("match_content_type", &rules.match_content_type),
            ("match_contents", &rules.match_contents),
        ] {
            if !value.is_empty() {
                map.insert(name.to_owned(), value.as_str().into());
            }
        }
        for (name, pairs) in
            [("match_query_params", &rules.match_query_params), ("match_headers", &rules.match_headers)]
        {
            if !pairs.is_empty() {
                map.insert(name.to_owned(), json!(pairs));
            }
        }
        Value::Object(map)
    }
}

impl Delay {
    fn to_json(&self) -> Value {
        match self {
            Delay::Fixed(delay) => text(*delay),
            Delay::Uniform { min, max } => {
                json!({"distribution": "uniform", "min": text(*min), "max": text(*max)})
            }
            Delay::Normal { mean, stddev } => {
                json!({"distribution": "normal", "mean": text(*mean), "stddev": text(*stddev)})
            }
            Delay::LogNormal { median, sigma } => {
                json!({"distribution": "lognormal", "median": text(*median), "sigma": sigma})
            }
            Delay::Percentiles(points) => {
                let mut map = Map::new();
                map.insert("distribution".to_owned(), "percentiles".into());
                map.extend(points.iter().map(|(percent, delay)| (format!("p{percent}"), text(*delay))));
                Value::Object(map)
            }
        }
    }
}

fn text(duration: Duration) -> Value {
    let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    GoDuration::from_nanoseconds(nanoseconds).to_string().into()
}
