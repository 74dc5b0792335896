//! Faults from files and headers. What is not understood is an error: a fault that does not happen is not noticed.

use std::num::NonZeroU64;
use std::time::Duration;

use api_mock_template::time::GoDuration;

use super::{ConnectionFault, Delay, FaultRequest, FaultRule, FaultStage, FaultTiming};
use crate::error::ScenarioError;
use crate::node::{Kind, Node};
use crate::pairs::HeaderLists;
use crate::path;
use crate::read::{Fields, join};

const KEYS: [&str; 18] = [
    "name",
    "request",
    "probability",
    "after",
    "first",
    "every",
    "from",
    "until",
    "period",
    "stage",
    "delay",
    "status",
    "headers",
    "contents",
    "fault",
    "after_bytes",
    "content_length",
    "bytes_per_second",
];
const REQUEST_KEYS: [&str; 9] = [
    "method",
    "path",
    "match_query_params",
    "assert_query_params_pattern",
    "match_headers",
    "assert_headers_pattern",
    "match_content_type",
    "match_contents",
    "assert_contents_pattern",
];
const DURATION: &str = "a duration such as 300ms, 1.5s or 1m30s";
const KINDS: &str =
    "connection_reset, empty_response, truncated_body, garbage, malformed_chunk or wrong_content_length";

impl FaultRule {
    /// Reads the fault that a header asks for: `connection_reset`, `status=503; delay=10ms..50ms; probability=0.5`, or
    /// a rule as JSON.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> Result<FaultRule, ScenarioError> {
        let fields = Fields { source: "", lenient: false };
        let text = text.trim();
        let value = if text.starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| ScenarioError::syntax(None, format!("not JSON: {error}")))?
        } else {
            let pairs = text.split(';').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or(("fault", pair));
                (name.trim().to_owned(), serde_json::Value::from(value.trim()))
            });
            serde_json::Value::Object(pairs.collect())
        };
        fields.fault(&Node::from_json(value), "")
    }
}

impl Fields<'_> {
    /// The list `faults`.
    pub(crate) fn faults(&self, root: &Node) -> Result<Vec<FaultRule>, ScenarioError> {
        let Some(node) = root.get("faults") else { return Ok(Vec::new()) };
        match &node.kind {
            Kind::Null => Ok(Vec::new()),
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(number, item)| self.fault(item, &format!("faults[{number}]")))
                .collect(),
            _ => Err(self.expected(node, "faults", "a list of faults", "")),
        }
    }

    fn fault(&self, node: &Node, at: &str) -> Result<FaultRule, ScenarioError> {
        self.only(node, at, &KEYS, "a fault, with status, delay, fault or bytes_per_second")?;
        let rule = FaultRule {
            name: self.word(node, at, "name")?,
            request: self.fault_request(node, at)?,
            timing: self.timing(node, at)?,
            stage: self.stage(node, at)?,
            delay: node.get("delay").map(|node| self.delay(node, &join(at, "delay"))).transpose()?,
            status: self.statuses(node, at)?,
            headers: self.header_lists(node.get("headers"), &join(at, "headers"))?,
            contents: node.get("contents").map(|contents| match &contents.kind {
                Kind::Scalar(scalar) => scalar.text.clone(),
                Kind::Null => String::new(),
                _ => contents.to_json().to_string(),
            }),
            connection: self.connection(node, at)?,
            bytes_per_second: self.positive(node, at, "bytes_per_second")?,
        };
        let does_nothing = rule.delay.is_none()
            && rule.status.is_empty()
            && rule.contents.is_none()
            && rule.headers.is_empty()
            && rule.connection.is_none()
            && rule.bytes_per_second.is_none();
        if does_nothing {
            let expected =
                "something that goes wrong: status, contents, headers, delay, fault or bytes_per_second";
            return Err(self.expected(node, at, expected, "none of them"));
        }
        Ok(rule)
    }

    /// Refuses what is no map, and keys that nobody knows.
    pub(crate) fn only(
        &self,
        node: &Node,
        at: &str,
        known: &[&'static str],
        expected: &'static str,
    ) -> Result<(), ScenarioError> {
        let Kind::Map(entries) = &node.kind else { return Err(self.expected(node, at, expected, "")) };
        match entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, node)) => Err(self.expected(node, &join(at, key), "no such field here", key)),
            None => Ok(()),
        }
    }

    /// A text without directives: a fault is known before it happens.
    fn plain(&self, node: &Node, field: &str, expected: &'static str) -> Result<String, ScenarioError> {
        let text = self.scalar(node, field, expected)?;
        if self.lenient && text.contains("{{") {
            return Err(self.expected(node, field, "a value without directives", &text));
        }
        Ok(text)
    }

    fn word(&self, node: &Node, at: &str, name: &'static str) -> Result<String, ScenarioError> {
        let Some(node) = node.get(name) else { return Ok(String::new()) };
        let (field, expected) = (join(at, name), "a name of visible ASCII characters");
        let text = self.plain(node, &field, expected)?;
        let is_good = text.len() <= 100 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_good { Ok(text) } else { Err(self.expected(node, &field, expected, &text)) }
    }

    /// A value that `read` understands.
    pub(crate) fn value<T>(
        &self,
        node: &Node,
        at: &str,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ScenarioError> {
        let Some(node) = node.get(name).filter(|node| !matches!(node.kind, Kind::Null)) else {
            return Ok(None);
        };
        let field = join(at, name);
        let text = self.plain(node, &field, expected)?;
        read(text.trim()).map(Some).ok_or_else(|| self.expected(node, &field, expected, &text))
    }

    fn duration_of(
        &self,
        node: &Node,
        at: &str,
        name: &'static str,
    ) -> Result<Option<Duration>, ScenarioError> {
        self.value(node, at, name, DURATION, duration)
    }

    fn positive(
        &self,
        node: &Node,
        at: &str,
        name: &'static str,
    ) -> Result<Option<NonZeroU64>, ScenarioError> {
        self.value(node, at, name, "a whole number from 1", |text| text.parse().ok())
    }

    fn number(&self, node: &Node, at: &str, name: &'static str) -> Result<Option<u64>, ScenarioError> {
        self.value(node, at, name, "a whole number from 0", |text| text.parse().ok())
    }

    fn timing(&self, node: &Node, at: &str) -> Result<FaultTiming, ScenarioError> {
        let chance = |text: &str| text.parse::<f64>().ok().filter(|chance| (0.0..=1.0).contains(chance));
        let probability = self.value(node, at, "probability", "a number from 0 to 1", chance)?;
        let timing = FaultTiming {
            probability: probability.unwrap_or(1.0),
            after: self.number(node, at, "after")?.unwrap_or_default(),
            first: self.positive(node, at, "first")?.map(NonZeroU64::get),
            every: self.positive(node, at, "every")?.map_or(1, NonZeroU64::get),
            from: self.duration_of(node, at, "from")?.unwrap_or_default(),
            until: self.duration_of(node, at, "until")?,
            period: self.duration_of(node, at, "period")?,
        };
        let is_empty = timing.until.is_some_and(|until| until <= timing.from);
        let is_never = timing.period.is_some_and(|period| period <= timing.from);
        for (wrong, name, expected) in
            [(is_empty, "until", "a time after `from`"), (is_never, "period", "a time after `from`")]
        {
            if let (true, Some(node)) = (wrong, node.get(name)) {
                let text = self.scalar(node, name, expected)?;
                return Err(self.expected(node, &join(at, name), expected, &text));
            }
        }
        Ok(timing)
    }

    fn stage(&self, node: &Node, at: &str) -> Result<Option<FaultStage>, ScenarioError> {
        self.value(node, at, "stage", "before_upstream or after_upstream", |text| match text {
            "before_upstream" => Some(FaultStage::BeforeUpstream),
            "after_upstream" => Some(FaultStage::AfterUpstream),
            _ => None,
        })
    }

    fn statuses(&self, node: &Node, at: &str) -> Result<Vec<u16>, ScenarioError> {
        let Some(node) = node.get("status") else { return Ok(Vec::new()) };
        let (field, expected) = (join(at, "status"), "a status from 200 to 599, or a list of them");
        self.status_list(node, &field, expected)
    }

    pub(crate) fn status_list(
        &self,
        node: &Node,
        field: &str,
        expected: &'static str,
    ) -> Result<Vec<u16>, ScenarioError> {
        let one = |node: &Node| {
            let text = self.plain(node, field, expected)?;
            let status = text.trim().parse().ok().filter(|status| (200..600).contains(status));
            status.ok_or_else(|| self.expected(node, field, expected, &text))
        };
        match &node.kind {
            Kind::List(items) => items.iter().map(one).collect(),
            Kind::Null => Ok(Vec::new()),
            _ => Ok(vec![one(node)?]),
        }
    }

    pub(crate) fn header_lists(&self, node: Option<&Node>, at: &str) -> Result<HeaderLists, ScenarioError> {
        let mut headers = HeaderLists::default();
        let expected = "a map from names to texts or lists of texts";
        let Some(node) = node else { return Ok(headers) };
        let Kind::Map(entries) = &node.kind else { return Err(self.expected(node, at, expected, "")) };
        for (name, value) in entries {
            let field = join(at, name);
            let values = match &value.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            for value in values {
                let text = self.plain(value, &field, expected)?;
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                if !name.bytes().all(is_token) || text.chars().any(|c| c.is_control() && c != '\t') {
                    return Err(self.expected(value, &field, "a header that HTTP knows", &text));
                }
                headers.add(name.clone(), text);
            }
        }
        Ok(headers)
    }

    fn connection(&self, node: &Node, at: &str) -> Result<Option<ConnectionFault>, ScenarioError> {
        let named = self.value(node, at, "fault", KINDS, ConnectionFault::named)?;
        let bytes = self.number(node, at, "after_bytes")?;
        let length = self.number(node, at, "content_length")?;
        let misplaced = |name: &'static str, expected: &'static str| {
            let place = node.get(name).unwrap_or(node);
            Err(self.expected(place, &join(at, name), expected, "another fault"))
        };
        let fits = matches!(named, Some(ConnectionFault::Reset { .. } | ConnectionFault::Truncated { .. }));
        if bytes.is_some() && !fits {
            return misplaced("after_bytes", "connection_reset or truncated_body as `fault`");
        }
        if length.is_some() && !matches!(named, Some(ConnectionFault::WrongContentLength { .. })) {
            return misplaced("content_length", "wrong_content_length as `fault`");
        }
        Ok(named.map(|fault| match fault {
            ConnectionFault::Reset { .. } => ConnectionFault::Reset { after_bytes: bytes },
            ConnectionFault::Truncated { .. } => ConnectionFault::Truncated { after_bytes: bytes },
            ConnectionFault::WrongContentLength { .. } => {
                ConnectionFault::WrongContentLength { content_length: length }
            }
            other => other,
        }))
    }

    fn fault_request(&self, node: &Node, at: &str) -> Result<Option<Box<FaultRequest>>, ScenarioError> {
        let Some(node) = node.get("request").filter(|node| !matches!(node.kind, Kind::Null)) else {
            return Ok(None);
        };
        let at = join(at, "request");
        self.only(node, &at, &REQUEST_KEYS, "a map with method, path, match_headers and the like")?;
        let method = self.value(node, &at, "method", "an HTTP method", path::method)?;
        let path = self.value(node, &at, "path", "a path such as /v1/users/:id", path::normalized)?;
        Ok(Some(Box::new(FaultRequest {
            method: method.unwrap_or_default(),
            path: path.unwrap_or_default(),
            rules: self.request(node)?,
        })))
    }

    fn delay(&self, node: &Node, at: &str) -> Result<Delay, ScenarioError> {
        let expected = "a duration such as 300ms, two such as 10ms..50ms, or a map with `distribution`";
        if !matches!(node.kind, Kind::Map(_)) {
            let text = self.plain(node, at, expected)?;
            return short_delay(&text).ok_or_else(|| self.expected(node, at, expected, &text));
        }
        let kinds = "fixed, uniform, normal, lognormal or percentiles";
        let kind = self.value(node, at, "distribution", kinds, |text| {
            let known = ["fixed", "uniform", "normal", "lognormal", "percentiles"];
            known.into_iter().find(|kind| *kind == text.to_ascii_lowercase())
        })?;
        let Some(kind) = kind else {
            return Err(self.expected(node, &join(at, "distribution"), kinds, "nothing"));
        };
        let keys: &[&'static str] = match kind {
            "fixed" => &["distribution", "value"],
            "uniform" => &["distribution", "min", "max"],
            "normal" => &["distribution", "mean", "stddev"],
            "lognormal" => &["distribution", "median", "sigma"],
            _ => return self.percentiles(node, at),
        };
        self.only(node, at, keys, expected)?;
        let needed = |name: &'static str| {
            self.duration_of(node, at, name)?
                .ok_or_else(|| self.expected(node, &join(at, name), DURATION, "nothing"))
        };
        Ok(match kind {
            "fixed" => Delay::Fixed(needed("value")?),
            "uniform" => {
                let (min, max) = (self.duration_of(node, at, "min")?.unwrap_or_default(), needed("max")?);
                if min > max {
                    let place = node.get("max").unwrap_or(node);
                    return Err(self.expected(place, &join(at, "max"), "no less than `min`", "less"));
                }
                Delay::Uniform { min, max }
            }
            "normal" => Delay::Normal { mean: needed("mean")?, stddev: needed("stddev")? },
            _ => {
                let small =
                    |text: &str| text.parse::<f64>().ok().filter(|sigma| (0.0..=10.0).contains(sigma));
                let sigma = self.value(node, at, "sigma", "a number from 0 to 10", small)?;
                let sigma = sigma.ok_or_else(|| {
                    self.expected(node, &join(at, "sigma"), "a number from 0 to 10", "nothing")
                })?;
                Delay::LogNormal { median: needed("median")?, sigma }
            }
        })
    }

    fn percentiles(&self, node: &Node, at: &str) -> Result<Delay, ScenarioError> {
        let expected = "percentiles such as p50 and p99, with durations that rise";
        let Kind::Map(entries) = &node.kind else { return Err(self.expected(node, at, expected, "")) };
        let mut points: Vec<(f64, Duration)> = Vec::new();
        for (name, value) in entries.iter().filter(|(name, _)| name != "distribution") {
            let field = join(at, name);
            let percent = name.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            let percent = percent.ok_or_else(|| self.expected(value, &field, expected, name))?;
            let text = self.plain(value, &field, DURATION)?;
            let delay = duration(text.trim()).ok_or_else(|| self.expected(value, &field, DURATION, &text))?;
            points.push((percent, delay));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rises =
            points.windows(2).all(|pair| matches!(pair, [low, high] if low.0 < high.0 && low.1 <= high.1));
        if points.is_empty() || !rises {
            return Err(self.expected(node, at, expected, "others"));
        }
        Ok(Delay::Percentiles(points))
    }
}

fn duration(text: &str) -> Option<Duration> {
    text.parse::<GoDuration>().ok()?.to_std()
}

fn short_delay(text: &str) -> Option<Delay> {
    match text.split_once("..") {
        Some((min, max)) => {
            let (min, max) = (duration(min.trim())?, duration(max.trim())?);
            (min <= max).then_some(Delay::Uniform { min, max })
        }
        None => duration(text.trim()).map(Delay::Fixed),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Format, Scenario};

    fn wrong(rule: &str) -> String {
        let text = format!(
            "method: GET\nname: a\npath: /a\nresponse:\n  contents: x\nfaults:\n  - status: 500\n  - {rule}\n"
        );
        match Scenario::parse(&text, Format::Yaml) {
            Ok(scenario) => panic!("{rule} was read as {:?}", scenario.faults),
            Err(error) => error.in_file("a.scr").to_string(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_field() {
        for (rule, field) in [
            ("probability: 1.5\n    status: 500", "probability"),
            ("status: 99", "status"),
            ("status: [500, many]", "status"),
            ("delay: 5", "delay"),
            ("delay: -1s", "delay"),
            ("delay: 2s..1s", "delay"),
            ("delay: {distribution: gauss, mean: 1s}", "delay.distribution"),
            ("delay: {mean: 1s}", "delay.distribution"),
            ("delay: {distribution: normal, mean: 1s}", "delay.stddev"),
            ("delay: {distribution: uniform, min: 2s, max: 1s}", "delay.max"),
            ("delay: {distribution: lognormal, median: 1s, sigma: -1}", "delay.sigma"),
            ("delay: {distribution: percentiles, p50: 2s, p99: 1s}", "delay"),
            ("delay: {distribution: fixed, value: 1s, unit: ms}", "delay.unit"),
            ("fault: explosion", "fault"),
            ("fault: garbage\n    after_bytes: 3", "after_bytes"),
            ("fault: garbage\n    content_length: 3", "content_length"),
            ("every: 0\n    status: 500", "every"),
            ("first: 0\n    status: 500", "first"),
            ("from: 2s\n    until: 1s\n    status: 500", "until"),
            ("from: 2s\n    period: 1s\n    status: 500", "period"),
            ("bytes_per_second: 0", "bytes_per_second"),
            ("stage: later\n    status: 500", "stage"),
            ("status: 500\n    headers: {'a b': c}", "headers.a b"),
            ("status: 500\n    request: {paht: /}", "request.paht"),
            ("status: 500\n    request: {method: BREW}", "request.method"),
            ("status: 500\n    probabilty: 1", "probabilty"),
            ("name: nothing", ""),
            ("status: '{{.status}}'", "status"),
        ] {
            let error = wrong(rule);
            let place =
                if field.is_empty() { "faults[1]: ".to_owned() } else { format!("faults[1].{field}: ") };
            assert!(error.starts_with("a.scr:") && error.contains(&place), "{rule}: {error}");
            let line: usize = error.split(':').nth(1).unwrap().parse().unwrap();
            assert!((8..=10).contains(&line), "{rule}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let text = r#"
method: POST
name: all
path: /a
response:
    contents: x
faults:
  - name: slow tail
    probability: 0.25
    after: 1
    first: 10
    every: 3
    from: 10s
    until: 40s
    period: 1m
    stage: after_upstream
    delay: {distribution: percentiles, p50: 20ms, p99.9: 1.5s}
    status: [500, 503]
    headers: {Retry-After: 1, Warning: [a, b]}
    contents: '{"message": "no"}'
    fault: truncated_body
    after_bytes: 7
    bytes_per_second: 100
    request:
        method: post
        path: /a/:id
        match_headers: {X-Amz-Target: UpdateItem}
        match_contents: '{"id": "7"}'
  - fault: connection_reset
  - fault: wrong_content_length
    content_length: 9
  - delay: {distribution: lognormal, median: 80ms, sigma: 0.4}
  - delay: {distribution: normal, mean: 80ms, stddev: 20ms}
  - delay: 1ms..2ms
"#;
        let scenario = Scenario::parse(text, Format::Yaml).unwrap();
        assert_eq!(scenario.faults.len(), 6);
        let yaml = scenario.to_yaml();
        assert_eq!(Scenario::parse(&yaml, Format::Yaml).unwrap(), scenario, "{yaml}");
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(Scenario::parse(&json, Format::Json).unwrap(), scenario, "{json}");
    }
}
