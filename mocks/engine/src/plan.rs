//! How a scenario is turned into an answer: all that can be done once is done once.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use api_mock_functions::State;
use api_mock_scenario::{Layout, Scenario, TextPlace, constant, directives};
use api_mock_template::{
    Context, Functions, Limits, ParseError, RenderError, Template, TemplateOptions, Value,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::block;
use crate::head::{Body, Head};
use crate::lanes::Lanes;
use crate::problem::RenderProblem;
use crate::text::{clean, marked, without};

/// Stands for the body in a file that is rendered without it.
const STAND_IN: &str = "STAND-IN-FOR-THE-BODY";
/// How many readings of rendered heads are kept.
const MEMORY: usize = 8;

/// How a scenario is turned into an answer.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each scenario, and the large one is the fast one"
)]
pub(crate) enum Plan {
    /// It is always the same.
    Static(Lanes<Head>),
    /// The body is rendered in its place, the rest apart.
    Split(Box<Split>),
    /// The file is rendered, then read.
    Whole(Whole),
}

/// The whole file as a template.
#[derive(Debug)]
pub(crate) struct Whole {
    template: Template,
}

/// A file in three parts: before the body, the body, after the body. Each is a template of its
/// own, so rendering one after the other gives what rendering the file would.
#[derive(Debug)]
pub(crate) struct Split {
    whole: Whole,
    before: Piece,
    body: Template,
    after: Piece,
    place: TextPlace,
    memory: [ArcSwapOption<Known>; MEMORY],
    /// What the rest is read as, where it has no directives and so is always the same.
    fixed: Lanes<OnceLock<Head>>,
}

/// A part of a file.
#[derive(Debug)]
enum Piece {
    Text(String),
    Template(Template),
}

/// What a rendered head was read as.
#[derive(Debug)]
struct Known {
    text: Vec<u8>,
    /// How much of the text stands before the body.
    before: usize,
    head: Head,
}

/// What a rendering needs.
pub(crate) struct Rendering<'r> {
    pub(crate) name: &'r str,
    pub(crate) path: &'r str,
    pub(crate) data: &'r Value,
    pub(crate) limits: Limits,
    /// A fresh state, the same each time.
    pub(crate) state: &'r dyn Fn() -> State,
}

/// The functions that scenarios have.
pub(crate) fn functions() -> Functions {
    let mut functions = api_mock_functions::functions();
    crate::compare::add_to(&mut functions);
    functions
}

pub(crate) fn parse(name: &str, text: &str, functions: &Functions) -> Result<Template, Box<ParseError>> {
    TemplateOptions::new().no_value("").parse(name, text, functions).map_err(Box::new)
}

/// Whether there can be a plan for a scenario.
pub(crate) fn check(scenario: &Scenario, text: &str, functions: &Functions) -> Result<(), RenderProblem> {
    if text.contains("{{") {
        template(scenario, text, functions).map(drop)
    } else {
        Head::new(scenario, &scenario.name, &scenario.path).map(drop)
    }
}

/// The whole file as a template, and the text that it is of: what stands in assertions is for the
/// answers of real services, and left out where that is possible.
fn template<'t>(
    scenario: &Scenario,
    text: &'t str,
    functions: &Functions,
) -> Result<(Cow<'t, str>, Template), RenderProblem> {
    let name = &scenario.name;
    let has_any = [&scenario.response.assertions, &scenario.request.assertions].into_iter().flatten();
    if has_any.into_iter().any(|assertion| assertion.contains("{{"))
        && let Some(layout) = Layout::find(text)
    {
        let cut = without(text, &layout.assertions);
        if let Ok(template) = parse(name, &marked(&cut), functions) {
            return Ok((cut.into(), template));
        }
    }
    Ok((text.into(), parse(name, &marked(text), functions)?))
}

impl Plan {
    pub(crate) fn new(scenario: &Scenario, text: &str, functions: &Functions) -> Result<Plan, RenderProblem> {
        let Key { name, path } = Key::of(scenario);
        if !text.contains("{{") {
            return Ok(Plan::fixed(&Head::new(scenario, name, path)?));
        }
        let (text, template) = template(scenario, text, functions)?;
        let text = &*text;
        let found = directives(text);
        let whole = Whole { template };
        let is_constant =
            |at: &std::ops::Range<usize>| text.get(at.clone()).is_some_and(|it| constant(it).is_some());
        if found.iter().all(is_constant) {
            let state = || State::new(api_mock_datagen::Rng::seeded(0), epoch());
            let once = Rendering { name, path, data: &Value::Nil, limits: Limits::default(), state: &state };
            return Ok(Plan::fixed(&whole.render(&once)?));
        }
        match Layout::find(text).and_then(|layout| Split::new(&whole, text, &layout, name, functions)) {
            Some(split) => Ok(Plan::Split(Box::new(split))),
            None => Ok(Plan::Whole(whole)),
        }
    }

    fn fixed(head: &Head) -> Plan {
        Plan::Static(Lanes::new(|| head.detached()))
    }

    /// The same, but never split; for comparison.
    #[cfg(test)]
    pub(crate) fn without_split(self) -> Plan {
        match self {
            Plan::Split(split) => Plan::Whole(split.whole),
            plan => plan,
        }
    }

    /// The head and the body of an answer.
    pub(crate) fn render(&self, rendering: &Rendering<'_>) -> Result<Head, RenderProblem> {
        match self {
            Plan::Static(head) => Ok(head.mine().clone()),
            Plan::Split(split) => split.render(rendering),
            Plan::Whole(whole) => whole.render(rendering),
        }
    }
}

struct Key<'s> {
    name: &'s str,
    path: &'s str,
}

impl<'s> Key<'s> {
    fn of(scenario: &'s Scenario) -> Self {
        Key { name: &scenario.name, path: &scenario.path }
    }
}

fn epoch() -> api_mock_template::time::CivilTime {
    api_mock_template::time::CivilTime::from_unix(0, 0, 0, "UTC")
}

fn render(
    template: &Template,
    rendering: &Rendering<'_>,
    state: &mut State,
    output: &mut Vec<u8>,
) -> Result<(), Box<RenderError>> {
    let mut context = Context::with_state(state).limits(rendering.limits);
    template.render_into(rendering.data, &mut context, output).map_err(Box::new)
}

impl Whole {
    fn render(&self, rendering: &Rendering<'_>) -> Result<Head, RenderProblem> {
        let mut output = Vec::new();
        render(&self.template, rendering, &mut (rendering.state)(), &mut output)?;
        read(clean(output), rendering)
    }
}

/// Reads a rendered file.
fn read(output: Vec<u8>, rendering: &Rendering<'_>) -> Result<Head, RenderProblem> {
    let text = String::from_utf8(output)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let scenario = Scenario::parse_rendered(&text).map_err(Box::new)?;
    Head::new(&scenario, rendering.name, rendering.path)
}

impl Split {
    fn new(whole: &Whole, text: &str, layout: &Layout, name: &str, functions: &Functions) -> Option<Split> {
        let place = layout.contents.clone()?;
        let at = place.at.clone();
        let shared = |directive: &str| {
            let words = directive.split(|c: char| !c.is_ascii_alphanumeric());
            words.into_iter().any(|word| matches!(word, "define" | "block" | "template"))
        };
        if directives(text).into_iter().filter_map(|at| text.get(at)).any(shared) {
            return None;
        }
        let (before, body, after) = (text.get(..at.start)?, text.get(at.clone())?, text.get(at.end..)?);
        if trims_out(body) || starts_with_trim(after) {
            return None;
        }
        let is_block = place.style.is_block();
        let spaces = place.indent.unwrap_or(place.key_indent + 2);
        let stand_in = if is_block { format!("{:spaces$}{STAND_IN}\n", "") } else { STAND_IN.to_owned() };
        let before = format!("{}{stand_in}", without_head(before, layout.response, name, functions));
        let split = Split {
            whole: Whole { template: whole.template.clone() },
            before: Piece::new(name, &before, functions)?,
            body: parse(name, &if is_block { marked(body) } else { body.to_owned() }, functions).ok()?,
            after: Piece::new(name, after, functions)?,
            place,
            memory: Default::default(),
            fixed: Lanes::new(OnceLock::new),
        };
        if let (Piece::Text(_), Piece::Text(_)) = (&split.before, &split.after) {
            // What is wrong with it should be said of the whole file.
            let rest = format!("{before}{after}");
            Scenario::parse_rendered(&rest).ok()?;
        }
        Some(split)
    }

    fn render(&self, rendering: &Rendering<'_>) -> Result<Head, RenderProblem> {
        // What does not fit, fails or cannot be sure is left to the whole file, with the same draws.
        match self.try_render(rendering) {
            Some(head) => Ok(head),
            None => self.whole.render(rendering),
        }
    }

    fn try_render(&self, rendering: &Rendering<'_>) -> Option<Head> {
        let mut state = (rendering.state)();
        let fixed = self.fixed.mine().get();
        let mut rest = Vec::new();
        if fixed.is_none() {
            self.before.render(rendering, &mut state, &mut rest)?;
        }
        let mut body = Vec::with_capacity(512);
        render(&self.body, rendering, &mut state, &mut body).ok()?;
        let before = rest.len();
        if fixed.is_none() {
            self.after.render(rendering, &mut state, &mut rest)?;
        }
        let body = clean(body);
        let body = block::decode(std::str::from_utf8(&body).ok()?, &self.place)?;
        if body.is_empty() {
            // Then a fixture may take its place.
            return None;
        }
        let head = match fixed {
            Some(head) => head.clone(),
            None => self.head(rest, before, rendering)?,
        };
        if let (None, Piece::Text(_), Piece::Text(_)) = (fixed, &self.before, &self.after) {
            // Another thread may have been faster, with the same.
            let _ = self.fixed.mine().set(head.detached());
        }
        Some(Head { body: Body::Bytes(Bytes::from(body)), ..head })
    }

    /// The head that the rest of the file says, read once for each of the last few texts.
    fn head(&self, rest: Vec<u8>, before: usize, rendering: &Rendering<'_>) -> Option<Head> {
        let place = self.memory.get(usize::try_from(hash(&rest) % MEMORY as u64).ok()?)?;
        if let Some(known) = &*place.load()
            && known.before == before
            && known.text == rest
        {
            return Some(known.head.clone());
        }
        let after = clean(rest.get(before..)?.to_vec());
        if self.place.style.is_block() && !ends_block(&after, self.place.key_indent) {
            return None;
        }
        let mut text = clean(rest.get(..before)?.to_vec());
        text.extend_from_slice(&after);
        let head = read(text, rendering).ok()?;
        let Body::Bytes(body) = &head.body else { return None };
        if body.trim_ascii_end() != STAND_IN.as_bytes() {
            return None;
        }
        place.store(Some(Arc::new(Known { text: rest, before, head: head.clone() })));
        Some(head)
    }
}

impl Piece {
    fn new(name: &str, text: &str, functions: &Functions) -> Option<Piece> {
        if !text.contains("{{") {
            return Some(Piece::Text(text.to_owned()));
        }
        parse(name, &marked(text), functions).ok().map(Piece::Template)
    }

    fn render(&self, rendering: &Rendering<'_>, state: &mut State, output: &mut Vec<u8>) -> Option<()> {
        match self {
            Piece::Text(text) => output.extend_from_slice(text.as_bytes()),
            Piece::Template(template) => render(template, rendering, state, output).ok()?,
        }
        Some(())
    }
}

/// The part before the response says what requests the file is for; if it can be rendered apart
/// and leaves nothing behind, it need not be rendered at all.
fn without_head<'t>(
    before: &'t str,
    response: Option<usize>,
    name: &str,
    functions: &Functions,
) -> Cow<'t, str> {
    let parts = response.and_then(|at| before.split_at_checked(at));
    let Some((head, rest)) = parts else { return before.into() };
    let apart = !directives(head).into_iter().any(|at| {
        head.get(at).is_some_and(|directive| directive.contains('$') || directive.ends_with("-}}"))
    });
    if !apart || starts_with_trim(rest) || parse(name, head, functions).is_err() {
        return before.into();
    }
    // Waits may stand anywhere.
    if head.contains("wait_before_reply") {
        return before.into();
    }
    format!("method: GET\nname: n\npath: /\n{rest}").into()
}

/// Whether trim markers of a text reach beyond its ends.
fn trims_out(text: &str) -> bool {
    let found = directives(text);
    let ends = found.last().is_some_and(|at| {
        text.get(..at.end).is_some_and(|text| text.ends_with("-}}"))
            && text.get(at.end..).is_some_and(|rest| rest.trim().is_empty())
    });
    ends || starts_with_trim(text)
}

fn starts_with_trim(text: &str) -> bool {
    text.trim_start().starts_with("{{-")
}

/// Whether what follows a block ends it for sure: its first line is no deeper than the key.
fn ends_block(after: &[u8], key_indent: usize) -> bool {
    let lines = after.split(|byte| *byte == b'\n');
    let mut filled = lines.filter(|line| line.iter().any(|byte| !byte.is_ascii_whitespace()));
    filled.next().is_none_or(|line| line.iter().take_while(|byte| **byte == b' ').count() <= key_indent)
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_mock_datagen::Rng;
    use api_mock_scenario::Format;
    use api_mock_template::Map;

    /// Files whose bodies, rendered in place, must be what rendering the file gives; and whether
    /// they are rendered in place at all.
    const FILES: [(&str, bool); 17] = [
        ("contents: |\n    a {{.x}}\n    {{if .y}}\n    b\n    {{end}}\n\n    c\n  status_code: 201", true),
        (
            "contents: >\n    {\n    \"l\": [\n{{- range $i := Iterate .n}}\n     {\n      \"i\": {{$i}}\n     }{{if LastIter $i $.n}}{{else}},{{end}}\n{{end}}\n    ]\n    }\n  {{if .y}}\n  status_code: 202\n  {{else}}\n  status_code: 203\n  {{end}}",
            true,
        ),
        ("contents: '{\"a\": \"{{.x}}\", \"b\": \"{{RandName}}\"}'", true),
        ("contents: \"{\\\"a\\\": \\\"{{.x}}\\\"}\"", true),
        ("contents: Hi {{.x}}", true),
        ("contents: |2-\n    {{.x}}\n      a", true),
        ("contents: {{.x}}\n  headers:\n    A: {{RandString 5}}\n    B: [{{.x}}]", true),
        ("headers:\n    A: {{.x}}\n  contents: |-\n    {{RandInt}}{{.x}}\n  content_type: a/b", false),
        ("headers:\n    A: {{RandUnixTimestamp}}\n  contents: |-\n    {{RandNumMax 5}} {{.x}}", true),
        ("contents: |\n{{if .y}}\n    a\n{{else}}\n      b\n    c\n{{end}}", true),
        ("contents: |\n    {{$v := .x}}{{$v}}\n  content_type: t/{{$v}}", false),
        ("contents: |\n    {{- .x}}\n    a", false),
        ("contents: |\n    a\n    {{.x -}}\n  status_code: 204", false),
        ("contents: |\n    {{template \"t\" .}}\n  # {{define \"t\"}}d{{end}}", false),
        ("contents: |+\n    {{.x}}\n\n  status_code: 200", false),
        ("contents: |-\n    {{.x}}\n  assertions:\n    - {{contents.id > 0}}", true),
        ("{{if .y}}\n  contents: {{.x}}\n  {{else}}\n  contents: other\n  {{end}}", false),
    ];

    fn plan(response: &str) -> Result<(Plan, Plan), RenderProblem> {
        let text = format!(
            "method: GET\nname: n\npath: /\ndescription: {{{{.n}}}}\nresponse:\n  {response}\nwait_before_reply: {{{{.n}}}}ms\n"
        );
        let scenario = Scenario::parse(&text, Format::Yaml).map_err(Box::new)?;
        let functions = functions();
        let plan = || Plan::new(&scenario, &text, &functions);
        Ok((plan()?, plan()?.without_split()))
    }

    #[test]
    fn a_body_rendered_in_place_is_that_of_the_whole_file() {
        let words = [
            "", "a", "b c", "1", "'", "\"", "x: y", "x #y", "null", "- z", "\n", "  in", "{{", "é", "\u{1}",
            "a\nb", "\t", "%", "[", "a\r",
        ];
        let mut rng = Rng::seeded(5);
        let (mut answers, mut refusals) = (0, 0);
        for (response, in_place) in FILES {
            let Ok((split, whole)) = plan(response) else {
                assert!(response.contains("RandInt}}"), "{response}");
                continue;
            };
            assert_eq!(matches!(split, Plan::Split(_)), in_place, "{response}");
            for round in 0..400 {
                let mut data = Map::new();
                let x: String = (0..rng.index(3)).map(|_| *rng.pick(&words).unwrap()).collect();
                data.insert("x", x);
                data.insert("n", rng.between(0, 4));
                data.insert("y", rng.coin());
                let data = Value::from(data);
                let state = || State::new(Rng::seeded(round), epoch());
                let rendering =
                    Rendering { name: "n", path: "/", data: &data, limits: Limits::default(), state: &state };
                let show = |plan: &Plan| {
                    plan.render(&rendering).map(|head| format!("{head:?}")).map_err(|error| error.to_string())
                };
                let (one, other) = (show(&split), show(&whole));
                assert_eq!(one, other, "{response}\n{data:?}");
                if one.is_ok() { answers += 1 } else { refusals += 1 }
            }
        }
        assert!(answers > 2_000 && refusals > 100, "{answers} {refusals}");
    }

    #[test]
    fn a_file_with_constants_only_is_static() {
        let text = "method: GET\nname: n\npath: /\nresponse:\n  contents: |-\n    a {{`{{`}}b}}\n";
        let scenario = Scenario::parse(text, Format::Yaml).unwrap();
        let plan = Plan::new(&scenario, text, &functions());
        let Ok(Plan::Static(heads)) = plan else { panic!("it is not static") };
        let Body::Bytes(bytes) = &heads.mine().body else { panic!("it has no body") };
        assert_eq!(&bytes[..], b"a {{b}}");
    }
}
