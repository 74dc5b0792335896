//! One scenario for each operation, status, media type of the answer, and media type of the
//! request.

use std::collections::HashSet;
use std::rc::Rc;

use api_mock_scenario::{Contents, RequestRules, Scenario, Status, literal};

use super::bodies::{Bodies, Made};
use super::names::{self, Identity};
use super::{Examples, ImportOptions, Imported, planners, rules};
use crate::problem::Problems;
use crate::spec::{Api, Media, Operation, Response, essence};

/// An operation does not get more scenarios than this.
const MAX_FOR_OPERATION: usize = 200;

/// Gives `push` all scenarios, one after the other.
pub(super) fn scenarios(
    api: &Api,
    options: &ImportOptions,
    problems: &Problems,
    push: &mut dyn FnMut(Imported),
) {
    let (requests, responses) = planners(&api.schemas, options.value_examples);
    let mut importer = Importer {
        api,
        options,
        problems,
        bodies: Bodies::new(&api.schemas, options, responses),
        examples: Examples::new(&api.schemas, requests),
        push,
        made: 0,
        keys: HashSet::new(),
    };
    for (index, operation) in api.operations.iter().enumerate() {
        importer.operation(index, operation);
    }
}

struct Importer<'a> {
    api: &'a Api,
    options: &'a ImportOptions,
    problems: &'a Problems,
    bodies: Bodies<'a>,
    examples: Examples<'a>,
    push: &'a mut dyn FnMut(Imported),
    /// How many.
    made: usize,
    keys: HashSet<api_mock_scenario::Key>,
}

/// What is the same for all scenarios of an operation.
struct Common<'o> {
    index: usize,
    operation: &'o Operation,
    path: String,
    group: String,
    request: RequestRules,
}

impl Importer<'_> {
    fn operation(&mut self, index: usize, operation: &Operation) {
        let Some((path, query)) = names::path(self.api, self.options, operation) else {
            self.problems.add_at(operation.at.clone(), "left out: scenarios cannot have such a path");
            return;
        };
        let mut request =
            rules::parameters(self.api, self.options, operation, &mut self.examples, self.problems);
        query.into_iter().for_each(|(name, pattern)| request.match_query_params.set(name, literal(&pattern)));
        let group = names::group(self.api, self.options, &path);
        let common = Common { index, operation, path, group, request };
        let before = self.made;
        for (at, response) in operation.responses.iter().enumerate() {
            let Some(status) = status(operation, response) else {
                self.problems.add_at(response.at.clone(), "left out: a status below 200 is no answer");
                continue;
            };
            if !self.response(&common, at, response, status, before) {
                let what =
                    format!("it has more than {MAX_FOR_OPERATION} combinations; the others are left out");
                self.problems.add_at(operation.at.clone(), what);
                return;
            }
        }
    }

    /// False if there are too many.
    fn response(
        &mut self,
        common: &Common<'_>,
        at: usize,
        response: &Response,
        status: u16,
        before: usize,
    ) -> bool {
        let is_head = common.operation.method == "HEAD";
        let content: Vec<Option<&Media>> = if response.content.is_empty() || matches!(status, 204 | 205 | 304)
        {
            vec![None]
        } else {
            // The answer to a HEAD has the headers of the one to a GET.
            response.content.iter().take(if is_head { 1 } else { usize::MAX }).map(Some).collect()
        };
        for (media_at, media) in content.iter().enumerate() {
            let bodies = match media {
                Some(media) if !is_head => self.bodies.of(media),
                _ => vec![Ok(Made { variant: None, template: Rc::default(), patterns: Rc::default() })],
            };
            for body in bodies {
                let body = match body {
                    Ok(body) => body,
                    Err(why) => {
                        let name = media.map(|media| media.name.clone()).unwrap_or_default();
                        let what = format!("no valid body of {name} can be generated: {why}; it is left out");
                        self.problems.add_at(response.at.clone(), what);
                        continue;
                    }
                };
                let media = media.map(|media| (media_at, media));
                let wanted = common.operation.body.iter().flat_map(|body| body.content.iter().enumerate());
                let wanted: Vec<_> = wanted.map(Some).collect();
                for request in if wanted.is_empty() { vec![None] } else { wanted } {
                    if self.made - before >= MAX_FOR_OPERATION {
                        return false;
                    }
                    self.scenario(common, (at, response, status), media, &body, request);
                }
            }
        }
        true
    }

    fn scenario(
        &mut self,
        common: &Common<'_>,
        (at, response, status): (usize, &Response, u16),
        media: Option<(usize, &Media)>,
        body: &Made,
        request: Option<(usize, &Media)>,
    ) {
        let operation = common.operation;
        let told = |media: Option<(usize, &'_ Media)>| {
            media.filter(|(at, _)| *at > 0).map(|(_, media)| media.name.clone())
        };
        let (response_media, request_media) = (told(media), told(request));
        let identity = Identity {
            status: &response.status,
            response_media: response_media.as_deref(),
            request_media: request_media.as_deref(),
            variant: body.variant.as_deref(),
        };
        let mut scenario = Scenario {
            method: operation.method.clone(),
            name: names::name(operation, &common.group, &common.path, &identity),
            path: common.path.clone(),
            description: literal(operation.description.trim()),
            group: literal(&common.group),
            tags: operation.tags.iter().map(|tag| literal(tag)).collect(),
            request: common.request.clone(),
            ..Scenario::default()
        };
        if status >= 300 {
            scenario.predicate.clone_from(&self.options.error_predicate);
        }
        if let (Some((_, wanted)), Some(whole)) = (request, &operation.body) {
            rules::body(&mut scenario.request, whole, wanted, &mut self.examples);
        }
        negotiation(&mut scenario.request, response, media);
        self.answer(&mut scenario, response, status, media.map(|(_, media)| media), body);
        rules::authentication(&mut scenario, self.api, operation);
        if !self.keys.insert(scenario.key()) {
            self.problems.add_at(response.at.clone(), "left out: another scenario is just like this one");
            return;
        }
        let json = |media: Option<(usize, &Media)>| {
            media.filter(|(_, media)| media.is_json()).and_then(|(_, media)| media.schema)
        };
        let (schema, request_schema) = (json(media), json(request));
        self.made += 1;
        (self.push)(Imported { scenario, operation: common.index, response: at, schema, request_schema });
    }

    fn answer(
        &mut self,
        scenario: &mut Scenario,
        response: &Response,
        status: u16,
        media: Option<&Media>,
        body: &Made,
    ) {
        let answer = &mut scenario.response;
        answer.status_code = Status::Fixed(status);
        if let Some(media) = media {
            let name = concrete(&media.name);
            answer.headers.add("Content-Type", literal(name));
            let pattern = format!("(?i)^{}", regex_syntax::escape(&essence(name)));
            answer.match_headers.set("Content-Type", literal(&pattern));
            answer.match_contents = body.patterns.to_string();
        }
        answer.contents = Contents::Template(body.template.to_string());
        for header in &response.headers {
            match self.bodies.header(header) {
                Ok(value) => answer.headers.add(header.name.as_str(), value),
                Err(why) => {
                    let what = format!("the header {:?} is left out: {why}", header.name);
                    self.problems.add_at(response.at.clone(), what);
                }
            }
        }
    }
}

/// A media type that can be sent; ranges stand for JSON or text.
fn concrete(name: &str) -> &str {
    match name {
        "*/*" | "application/*" => "application/json",
        name if name.ends_with("/*") => "text/plain",
        name => name,
    }
}

/// Where an answer comes in several media types, clients say which one they want. The first is for
/// those who do not say.
fn negotiation(rules: &mut RequestRules, response: &Response, media: Option<(usize, &Media)>) {
    let Some((at, media)) = media.filter(|_| response.content.len() > 1) else { return };
    let name = regex_syntax::escape(&essence(&media.name));
    let pattern = if at == 0 {
        let kind = name.split('/').next().unwrap_or_default();
        format!(r"(?i)(^$|\*/\*|{kind}/\*|{name})")
    } else {
        format!("(?i){name}")
    };
    rules.match_headers.set("Accept", literal(&pattern));
    rules.example_headers.set("Accept", literal(concrete(&media.name)));
}

/// The status to answer with. `default` stands for what no other response is for: success if
/// nothing else is, else an error.
fn status(operation: &Operation, response: &Response) -> Option<u16> {
    let told = |status: &str| operation.responses.iter().any(|response| response.status == status);
    let of_class = |class: char| {
        let candidates: &[u16] = match class {
            '2' => &[200, 201, 202, 203, 206],
            '3' => &[302, 301, 303, 307],
            '4' => &[400, 422, 409, 403, 404],
            '5' => &[500, 503, 502, 501],
            _ => &[],
        };
        candidates.iter().copied().find(|status| !told(&status.to_string()))
    };
    match response.status.as_str() {
        "default" => {
            let success = operation.responses.iter().any(|response| response.status.starts_with('2'));
            if !success {
                return of_class('2');
            }
            // A range of errors would be meant if such a status came.
            ['5', '4']
                .into_iter()
                .filter(|class| !told(&format!("{class}XX")))
                .find_map(of_class)
                .or(Some(599))
        }
        range if range.ends_with("XX") => of_class(range.chars().next()?),
        status => status.parse().ok().filter(|status| (200..600).contains(status)),
    }
}
