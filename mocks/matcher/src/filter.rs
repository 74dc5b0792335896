//! Which requests something is for that is no scenario.

use api_mock_scenario::{FaultRequest, Part, Scenario, path_parts};

use crate::request::Request;
use crate::rules::{MatchOptions, Probe, Rules};
use crate::segment::Segment;

/// A method, a path and patterns; what is not said is not looked at.
///
/// ```
/// use api_mock_matcher::{Request, RequestFilter};
/// use api_mock_scenario::FaultRule;
/// use http::Method;
///
/// let rule = FaultRule::parse(r#"{"status": 500, "request": {"method": "GET", "path": "/users/:id"}}"#)?;
/// let filter = RequestFilter::new(&rule.request.unwrap());
/// let fits = |method, path: &str| filter.fits(&Request::new(method, path, Default::default(), Default::default()));
/// assert!(fits(Method::GET, "/users/7") && !fits(Method::GET, "/users") && !fits(Method::PUT, "/users/7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RequestFilter {
    method: String,
    /// `None` for any path.
    shape: Option<Vec<Segment>>,
    rules: Rules,
}

impl RequestFilter {
    /// Compiles what is wanted.
    #[must_use]
    pub fn new(wanted: &FaultRequest) -> Self {
        let scenario = Scenario { request: wanted.rules.clone(), ..Scenario::default() };
        let shape =
            |path: &str| path_parts(path).iter().map(|parts: &Vec<Part>| Segment::new(parts)).collect();
        RequestFilter {
            method: wanted.method.clone(),
            shape: (!wanted.path.is_empty()).then(|| shape(&wanted.path)),
            rules: Rules::new(&scenario, &MatchOptions::default()),
        }
    }

    /// Whether a request is one of them.
    #[must_use]
    pub fn fits(&self, request: &Request) -> bool {
        (self.method.is_empty() || request.method.as_str() == self.method)
            && self.shape.as_ref().is_none_or(|shape| fits_path(shape, &request.path))
            && self.rules.fit(&Probe::new(request))
    }
}

fn fits_path(shape: &[Segment], path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    for part in shape {
        let Some(segment) = segments.next() else { return false };
        let fits = match part {
            Segment::Rest => return true,
            Segment::Variable => true,
            Segment::Literal(text) => **text == *segment,
            mixed @ Segment::Mixed(_) => mixed.capture(segment, &mut Vec::new()),
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}
