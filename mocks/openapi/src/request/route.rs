//! From paths to operations: a tree of the segments of their paths.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Refused;
use crate::documents::percent_decoded;
use crate::spec::Operation;

/// Finds the operation of a request; the time does not depend on how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    /// The first one is the root.
    nodes: Vec<RouteNode>,
}

#[derive(Clone, Debug, Default)]
struct RouteNode {
    /// By segments without variables, decoded.
    literal: HashMap<Box<str>, usize>,
    /// Segments with variables, those with more literal text first.
    patterns: Vec<(Box<str>, usize)>,
    /// What ends here, those that want more of the query first.
    ends: Vec<End>,
}

/// An operation whose path ends here.
#[derive(Clone, Debug)]
struct End {
    method: Box<str>,
    operation: usize,
    /// What stands behind the `?` of its path: some specifications tell operations apart by that.
    query: Vec<(String, String)>,
}

/// Names and decoded values of the variables of a path.
pub(super) type Variables<'r> = Vec<(&'r str, String)>;

/// Where a request goes.
pub(super) struct Found<'r, O> {
    pub(super) operation: O,
    pub(super) variables: Variables<'r>,
    /// The methods of a path that is nearer, with a literal where this one has a variable, and has not this method.
    pub(super) nearer: Vec<String>,
}

/// A request, as far as it matters here.
pub(super) struct Wanted<'r> {
    pub(super) method: &'r str,
    pub(super) query: &'r [(String, String)],
}

/// Where the paths of a specification are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Base {
    /// As they are, and else below the path of the server.
    #[default]
    Either,
    /// Only as they are.
    Without,
    /// Only below the path of the server.
    With,
}

impl Base {
    /// What a path may be among those of the specification.
    pub(super) fn paths<'p>(self, base: &str, path: &'p str) -> impl Iterator<Item = &'p str> {
        let below = match path.strip_prefix(base) {
            // The server's path itself.
            Some("") if self == Base::With => Some("/"),
            below => below.filter(|below| below.starts_with('/')),
        };
        let (first, second) = match self {
            Base::Either => (Some(path), below.filter(|_| !base.is_empty())),
            Base::Without => (Some(path), None),
            Base::With => (below, None),
        };
        first.into_iter().chain(second)
    }
}

impl Router {
    pub(crate) fn new(operations: &[Operation]) -> Router {
        let mut router = Router { nodes: vec![RouteNode::default()] };
        for (index, operation) in operations.iter().enumerate() {
            router.add(index, operation);
        }
        for node in &mut router.nodes {
            node.patterns.sort_by_key(|(template, _)| std::cmp::Reverse(literal_length(template)));
            node.ends.sort_by_key(|end| std::cmp::Reverse(end.query.len()));
        }
        router
    }

    fn add(&mut self, operation: usize, told: &Operation) {
        let path = told.path.split('#').next().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut at = 0;
        for segment in without_last_slash(path).split('/') {
            at = self.below(at, segment);
        }
        let query = super::pairs(query).into_iter().filter(|(name, value)| {
            // A variable in the query is a parameter like others.
            !name.contains('{') && !value.contains('{')
        });
        let end = End { method: told.method.as_str().into(), operation, query: query.collect() };
        if let Some(node) = self.nodes.get_mut(at) {
            node.ends.push(end);
        }
    }

    /// The node below another, which is made if there is none.
    fn below(&mut self, at: usize, segment: &str) -> usize {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let below = if segment.contains('{') {
            match node.patterns.iter().find(|(known, _)| **known == *segment) {
                Some((_, known)) => *known,
                None => {
                    node.patterns.push((segment.into(), next));
                    next
                }
            }
        } else {
            *node.literal.entry(percent_decoded(segment).into()).or_insert(next)
        };
        if below == next {
            self.nodes.push(RouteNode::default());
        }
        below
    }

    /// The operation for a request to the first of the paths that is known. Literal segments go before variables, from the left.
    pub(super) fn find<'r, 'p>(
        &'r self,
        paths: impl IntoIterator<Item = &'p str>,
        wanted: &Wanted<'_>,
    ) -> Result<Found<'r, usize>, Refused> {
        let mut search = Search { router: self, wanted, variables: Vec::new(), allowed: Vec::new() };
        for path in paths {
            if let Some(operation) = search.from(0, Some(without_last_slash(path))) {
                return Ok(Found { operation, variables: search.variables, nearer: sorted(search.allowed) });
            }
            search.variables.clear();
        }
        if search.allowed.is_empty() {
            return Err(Refused::UnknownPath);
        }
        Err(Refused::UnknownMethod { allowed: sorted(search.allowed) })
    }
}

struct Search<'r, 'w> {
    router: &'r Router,
    wanted: &'w Wanted<'w>,
    variables: Variables<'r>,
    /// The methods that the path has, if it is found without the wanted one.
    allowed: Vec<String>,
}

impl<'r> Search<'r, '_> {
    /// Goes on with what is left of the path.
    fn from(&mut self, at: usize, rest: Option<&str>) -> Option<usize> {
        let node = self.router.nodes.get(at)?;
        let Some(rest) = rest else { return self.end(node) };
        let (segment, rest) =
            rest.split_once('/').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        let decoded: Cow<'_, str> =
            if segment.contains('%') { percent_decoded(segment).into() } else { segment.into() };
        if let Some(next) = node.literal.get(&*decoded)
            && let Some(found) = self.from(*next, rest)
        {
            return Some(found);
        }
        for (template, next) in &node.patterns {
            let known = self.variables.len();
            if fits(template, segment, &mut self.variables).is_some()
                && let Some(found) = self.from(*next, rest)
            {
                return Some(found);
            }
            self.variables.truncate(known);
        }
        None
    }

    fn end(&mut self, node: &'r RouteNode) -> Option<usize> {
        let is_asked = |end: &&End| end.query.iter().all(|(name, value)| self.asks(name, value));
        let mut of_method = node.ends.iter().filter(|end| *end.method == *self.wanted.method);
        let found = of_method.clone().find(is_asked).or_else(|| of_method.next());
        // The nearest path tells; that another one with variables in its place has more methods is another matter.
        if found.is_none() && self.allowed.is_empty() {
            self.allowed.extend(node.ends.iter().map(|end| end.method.to_string()));
        }
        found.map(|end| end.operation)
    }

    fn asks(&self, name: &str, value: &str) -> bool {
        self.wanted.query.iter().any(|(known, told)| known == name && (value.is_empty() || told == value))
    }
}

fn sorted(mut methods: Vec<String>) -> Vec<String> {
    methods.sort();
    methods.dedup();
    methods
}

/// A slash at the end makes no difference.
fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// How much of a segment is not in braces.
fn literal_length(template: &str) -> usize {
    let mut depth = 0_usize;
    template
        .chars()
        .filter(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .count()
}

fn fits<'r>(template: &'r str, text: &str, variables: &mut Variables<'r>) -> Option<()> {
    let Some((before, rest)) = template.split_once('{') else {
        return (template == text || percent_decoded(template) == percent_decoded(text)).then_some(());
    };
    let (name, after) = rest.split_once('}')?;
    let text = text.strip_prefix(before)?;
    // Up to the next literal text, or to the end.
    let next = after.split('{').next().unwrap_or_default();
    let end = match (after.is_empty(), next.is_empty()) {
        (true, _) | (_, true) => text.len(),
        _ if next == after => text.strip_suffix(next)?.len(),
        _ => text.find(next)?,
    };
    let (value, rest) = text.split_at_checked(end)?;
    if value.is_empty() {
        return None;
    }
    variables.push((name, percent_decoded(value)));
    fits(after, rest, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a path gives where there are operations of these methods and paths: which one, and the variables.
    fn found(operations: &[&str], request: &str) -> String {
        let operations: Vec<Operation> = operations
            .iter()
            .map(|told| {
                let (method, path) = told.split_once(' ').unwrap();
                Operation {
                    id: None,
                    method: method.to_owned(),
                    path: path.to_owned(),
                    description: String::new(),
                    tags: Vec::new(),
                    parameters: Vec::new(),
                    body: None,
                    responses: Vec::new(),
                    security: Vec::new(),
                    at: String::new(),
                }
            })
            .collect();
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let wanted = Wanted { method, query: &crate::request::pairs(query) };
        match Router::new(&operations).find(Base::Either.paths("/v2", path), &wanted) {
            Ok(Found { operation, variables, .. }) => {
                let values: Vec<String> =
                    variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {}", operations[operation].path, values.join(" ")).trim_end().to_owned()
            }
            Err(Refused::UnknownMethod { allowed } | Refused::NearerPath { allowed }) => allowed.join(","),
            Err(Refused::UnknownPath) => "-".to_owned(),
        }
    }

    #[test]
    fn templates_match_segment_by_segment() {
        for (template, path, wanted) in [
            ("/a/{id}", "/a/x%20y", "id=x y"),
            ("/a/{id}/", "/a/1", "id=1"),
            ("/a/{id}", "/a/1/", "id=1"),
            ("/{name}.{ext}", "/a.json", "name=a ext=json"),
            ("/{name}.json", "/a.b.json", "name=a.b"),
            ("/v{n}:batch", "/v1:batch", "n=1"),
            ("/", "/", ""),
            ("/a%20b", "/a b", ""),
            ("/a/{id}", "/v2/a/1", "id=1"),
        ] {
            let told = found(&[&format!("GET {template}")], &format!("GET {path}"));
            assert_eq!(told, format!("{template} {wanted}").trim_end(), "{path}");
        }
        for (template, path) in [("/a/{id}", "/a/1/2"), ("/a/{id}", "/a/"), ("/a", "/v2a"), ("/a", "/a//")] {
            assert_eq!(found(&[&format!("GET {template}")], &format!("GET {path}")), "-", "{path}");
        }
    }

    #[test]
    fn the_most_literal_operation_of_the_method_is_found() {
        let all = [
            "GET /a/{id}",
            "GET /a/me",
            "POST /a/{name}",
            "GET /a/{id}.json",
            "GET /{x}/me/b",
            "GET /a/{id}/c",
        ];
        assert_eq!(found(&all, "GET /a/me"), "/a/me");
        assert_eq!(found(&all, "GET /a/you"), "/a/{id} id=you");
        assert_eq!(found(&all, "GET /a/you.json"), "/a/{id}.json id=you");
        assert_eq!(found(&all, "POST /a/me"), "/a/{name} name=me");
        // The literal way leads nowhere, so the other is taken.
        assert_eq!(found(&all, "GET /a/me/b"), "/{x}/me/b x=a");
        assert_eq!(found(&all, "GET /a/me/c"), "/a/{id}/c id=me");
        // The nearest path tells which methods there are.
        assert_eq!(found(&all, "PUT /a/me"), "GET");
        assert_eq!(found(&all, "PUT /b"), "-");
    }

    #[test]
    fn the_query_tells_operations_of_one_path_apart() {
        let all = ["GET /{b}", "GET /{b}?acl", "GET /{b}?list-type=2&x"];
        assert_eq!(found(&all, "GET /k"), "/{b} b=k");
        assert_eq!(found(&all, "GET /k?acl"), "/{b}?acl b=k");
        assert_eq!(found(&all, "GET /k?acl=&x=1&list-type=2"), "/{b}?list-type=2&x b=k");
        assert_eq!(found(&all[1..], "GET /k"), "/{b}?list-type=2&x b=k");
    }
}
