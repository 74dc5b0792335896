//! What is set for all scenarios of a group.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::directive::Neutral;
use crate::error::ScenarioError;
use crate::fault::{Delay, FaultRule, FaultTiming};
use crate::node::{Kind, Node, Reader};
use crate::pairs::Pairs;
use crate::read::Fields;

/// The group whose faults are for all requests, also for those that are forwarded to a real service.
pub const ALL: &str = "_all";

const KEYS: [&str; 7] = [
    "variables",
    "chaos_enabled",
    "mean_time_between_failure",
    "mean_time_between_additional_latency",
    "max_additional_latency_secs",
    "http_errors",
    "faults",
];

/// What is set for all scenarios of a group: variables for their templates, and what goes wrong with their answers.
///
/// ```
/// use api_mock_scenario::GroupConfig;
/// let config = GroupConfig::parse(r#"{"chaos_enabled": true, "mean_time_between_failure": 10, "http_errors": [503]}"#)?;
/// let rules = config.rules();
/// assert_eq!((rules[0].timing.probability, rules[0].status.as_slice()), (0.1, &[503][..]));
/// # Ok::<(), api_mock_scenario::ScenarioError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupConfig {
    /// Values for templates that the request does not give.
    pub variables: Pairs,
    /// Whether anything goes wrong at all. `None`: only if there are faults.
    pub chaos_enabled: Option<bool>,
    /// Of so many answers, one fails; 0 for none.
    pub mean_time_between_failure: f64,
    /// Of so many answers, one is late; 0 for none.
    pub mean_time_between_additional_latency: f64,
    /// At most so many seconds late.
    pub max_additional_latency_secs: f64,
    /// The statuses of answers that fail; 500 for none.
    pub http_errors: Vec<u16>,
    /// Further faults.
    pub faults: Vec<FaultRule>,
}

impl GroupConfig {
    /// Reads JSON or YAML.
    ///
    /// # Errors
    /// Where and why it is not understood.
    pub fn parse(text: &str) -> Result<GroupConfig, ScenarioError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let neutral = Neutral::without_directives(text);
        // Nearly all JSON is YAML, whose reader knows lines.
        let root = match (Reader { source: text, neutral: &neutral, lenient: false }).read(text) {
            Ok(root) => root,
            Err(error) => match serde_json::from_str(text) {
                Ok(value) => Node::from_json(value),
                Err(_) => return Err(error),
            },
        };
        Fields { source: text, lenient: false }.group(&root)
    }

    /// Whether something goes wrong.
    #[must_use]
    pub fn is_chaotic(&self) -> bool {
        self.chaos_enabled.unwrap_or(!self.faults.is_empty())
    }

    /// What goes wrong, the means included; nothing if it is switched off.
    #[must_use]
    pub fn rules(&self) -> Vec<FaultRule> {
        if !self.is_chaotic() {
            return Vec::new();
        }
        let mean = |mean: f64| FaultTiming { probability: mean.max(1.0).recip(), ..FaultTiming::default() };
        let mut rules = self.faults.clone();
        if self.mean_time_between_failure > 0.0 {
            let status = if self.http_errors.is_empty() { vec![500] } else { self.http_errors.clone() };
            let timing = mean(self.mean_time_between_failure);
            rules.push(FaultRule { name: "failure".to_owned(), timing, status, ..FaultRule::default() });
        }
        if self.mean_time_between_additional_latency > 0.0 && self.max_additional_latency_secs > 0.0 {
            let max = Duration::try_from_secs_f64(self.max_additional_latency_secs).unwrap_or(Duration::MAX);
            let timing = mean(self.mean_time_between_additional_latency);
            let delay = Some(Delay::Uniform { min: Duration::ZERO, max });
            rules.push(FaultRule { name: "latency".to_owned(), timing, delay, ..FaultRule::default() });
        }
        rules
    }

    /// As it is kept in a file and told.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("variables".to_owned(), json!(self.variables));
        map.insert("chaos_enabled".to_owned(), self.is_chaotic().into());
        for (name, value) in [
            ("mean_time_between_failure", self.mean_time_between_failure),
            ("mean_time_between_additional_latency", self.mean_time_between_additional_latency),
            ("max_additional_latency_secs", self.max_additional_latency_secs),
        ] {
            map.insert(name.to_owned(), value.into());
        }
        map.insert("http_errors".to_owned(), self.http_errors.as_slice().into());
        map.insert("faults".to_owned(), self.faults.iter().map(FaultRule::to_json).collect());
        Value::Object(map)
    }
}

impl Fields<'_> {
    fn group(&self, root: &Node) -> Result<GroupConfig, ScenarioError> {
        self.only(root, "", &KEYS, "a map with faults, or chaos_enabled and the means")?;
        let mean = |name: &'static str| {
            let number = |text: &str| text.parse::<f64>().ok().filter(|mean| (0.0..=1e9).contains(mean));
            self.value(root, "", name, "a number from 0", number).map(Option::unwrap_or_default)
        };
        let errors = root.get("http_errors").filter(|node| !matches!(node.kind, Kind::Null));
        Ok(GroupConfig {
            variables: self.pairs(root, "", &["variables"])?,
            chaos_enabled: self
                .value(root, "", "chaos_enabled", "true or false", |text| text.parse().ok())?,
            mean_time_between_failure: mean("mean_time_between_failure")?,
            mean_time_between_additional_latency: mean("mean_time_between_additional_latency")?,
            max_additional_latency_secs: mean("max_additional_latency_secs")?,
            http_errors: match errors {
                Some(node) => self.status_list(node, "http_errors", "a list of statuses from 200 to 599")?,
                None => Vec::new(),
            },
            faults: self.faults(root)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_h5_a_mean_of_ten_is_one_in_ten_and_latency_has_its_own() {
        let config = GroupConfig::parse(
            "chaos_enabled: true\nmean_time_between_failure: 10\nmean_time_between_additional_latency: 4\nmax_additional_latency_secs: 1.5\n",
        );
        let rules = config.unwrap().rules();
        let chances: Vec<f64> = rules.iter().map(|rule| rule.timing.probability).collect();
        assert_eq!(chances, [0.1, 0.25]);
        assert_eq!(rules[0].status, [500]);
        assert_eq!(
            rules[1].delay,
            Some(Delay::Uniform { min: Duration::ZERO, max: Duration::from_millis(1_500) })
        );
    }

    #[test]
    fn it_can_be_switched_off_and_is_on_only_where_there_is_something() {
        let off = GroupConfig::parse(r#"{"chaos_enabled": false, "faults": [{"status": 500}]}"#).unwrap();
        assert!(off.rules().is_empty());
        assert!(GroupConfig::parse("mean_time_between_failure: 10").unwrap().rules().is_empty());
        assert_eq!(GroupConfig::parse(r#"{"faults": [{"status": 500}]}"#).unwrap().rules().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_also_in_json() {
        let text = "{\n\t\"chaos_enabled\": true,\n  \"faults\": [\n    {\"status\": 700}\n  ]\n}";
        let error = GroupConfig::parse(text).unwrap_err().in_file("groups/a.json").to_string();
        assert!(error.starts_with("groups/a.json:4: faults[0].status: "), "{error}");
        for bad in
            ["[]", "chaos: true", "chaos_enabled: maybe", "http_errors: [1]", "mean_time_between_failure: -1"]
        {
            assert!(GroupConfig::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_kept_is_read_as_the_same() {
        let text = r#"{"variables": {"a": "1"}, "mean_time_between_failure": 2.5, "http_errors": [500, 503],
            "faults": [{"fault": "garbage", "probability": 0.5}]}"#;
        let config = GroupConfig::parse(text).unwrap();
        let kept = GroupConfig::parse(&config.to_json().to_string()).unwrap();
        assert_eq!(kept, GroupConfig { chaos_enabled: Some(true), ..config });
    }
}
