//! Scenarios as files that people like to read, in the spelling of the blog.

use std::fmt::Write as _;

use base64::Engine as _;

use crate::directive::{constant, directives, literal};
use crate::fault::FaultRule;
use crate::model::{Contents, Extra, Scenario, Status};
use crate::pairs::Pairs;

/// One step of indentation.
const STEP: usize = 4;
/// YAML reads longer keys only if a question mark is before them: a little less than its 1,024 characters.
const LONGEST_SIMPLE_KEY: usize = 1_000;

impl Scenario {
    /// The scenario as the text of a `.scr` file. Reading it gives an equal scenario, except that
    /// [`Contents::Literal`] which is text comes back as the template that prints it.
    ///
    /// ```
    /// use api_mock_scenario::{Contents, Format, Scenario};
    /// let mut scenario = Scenario { method: "GET".into(), name: "raw".into(), path: "/raw".into(), ..Scenario::default() };
    /// scenario.response.contents = Contents::Literal("a: {{b}}\nc".into());
    /// let file = scenario.to_yaml();
    /// assert!(file.contains("    contents: |-\n        a: {{`{{`}}b}}\n        c\n"));
    /// assert_eq!(Scenario::parse(&file, Format::Yaml)?.name, "raw");
    /// # Ok::<(), api_mock_scenario::ScenarioError>(())
    /// ```
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = Writer::default();
        out.text(0, "method", &self.method);
        out.text(0, "name", &self.name);
        out.text(0, "path", &self.path);
        out.text(0, "description", &self.description);
        out.text(0, "group", &self.group);
        out.text(0, "predicate", &self.predicate);
        if self.order != 0 {
            out.line(0, &format!("order: {}", self.order));
        }
        out.list_unless_empty(0, "tags", &self.tags);
        self.write_request(&mut out);
        self.write_response(&mut out);
        out.text(0, "wait_before_reply", &self.wait_before_reply.to_string());
        out.json_list(0, "faults", self.faults.iter().map(FaultRule::to_json));
        out.extra(0, &self.extra);
        out.text
    }

    fn write_request(&self, out: &mut Writer) {
        let request = &self.request;
        out.line(0, "request:");
        out.pairs(1, "match_query_params", &request.match_query_params);
        out.pairs(1, "match_headers", &request.match_headers);
        if !request.match_content_type.is_empty() {
            out.text(1, "match_content_type", &request.match_content_type);
        }
        out.text(1, "match_contents", &request.match_contents);
        out.pairs(1, "example_path_params", &request.example_path_params);
        out.pairs(1, "example_query_params", &request.example_query_params);
        out.pairs(1, "example_headers", &request.example_headers);
        out.text(1, "example_contents", &request.example_contents);
        out.list_unless_empty(1, "assertions", &request.assertions);
        out.extra(1, &request.extra);
    }

    fn write_response(&self, out: &mut Writer) {
        let response = &self.response;
        out.line(0, "response:");
        if response.headers.is_empty() {
            out.line(1, "headers: {}");
        } else {
            out.line(1, "headers:");
            for (name, values) in response.headers.iter() {
                out.list(2, name, values);
            }
        }
        if !response.content_type.is_empty() {
            out.text(1, "content_type", &response.content_type);
        }
        match (&response.contents, response.contents.template_text()) {
            (Contents::Literal(bytes), None) => out.binary(1, "contents", bytes),
            (_, text) => out.text(1, "contents", &text.unwrap_or_default()),
        }
        out.text(1, "contents_file", &response.contents_file);
        match &response.status_code {
            Status::Fixed(status) => out.line(1, &format!("status_code: {status}")),
            Status::Template(text) => out.text(1, "status_code", text),
        }
        out.pairs(1, "match_headers", &response.match_headers);
        out.text(1, "match_contents", &response.match_contents);
        out.list(1, "assertions", &response.assertions);
        out.list_unless_empty(1, "pipe_properties", &response.pipe_properties);
        out.extra(1, &response.extra);
    }
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn line(&mut self, depth: usize, text: &str) {
        self.indent(depth * STEP);
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn indent(&mut self, spaces: usize) {
        self.text.extend(std::iter::repeat_n(' ', spaces));
    }

    fn key(&mut self, depth: usize, key: &str) {
        self.indent(depth * STEP);
        // Directives in keys would be rendered; what is meant is always the text.
        let key = if directives(key).is_empty() { literal(key) } else { key.to_owned() };
        let key = if is_plain(&key) { key } else { quoted(&key) };
        let is_long = key.len() > LONGEST_SIMPLE_KEY;
        if is_long {
            self.text.push_str("? ");
        }
        self.text.push_str(&key);
        if is_long {
            self.text.push('\n');
            self.indent(depth * STEP);
        }
        self.text.push(':');
    }

    fn text(&mut self, depth: usize, key: &str, value: &str) {
        self.key(depth, key);
        self.text.push(' ');
        self.scalar(depth + 1, value);
    }

    fn scalar(&mut self, depth: usize, value: &str) {
        let has_directives = value.contains("{{");
        let one_line = !value.contains('\n');
        if one_line && is_plain(value) {
            self.text.push_str(value);
        } else if one_line && !has_directives && is_printable(value) && !value.contains('\t') {
            let _ = write!(self.text, "'{}'", value.replace('\'', "''"));
        } else if fits_block(value) {
            self.block(depth, value);
            return;
        } else {
            self.text.push_str(&quoted(value));
        }
        self.text.push('\n');
    }

    fn block(&mut self, depth: usize, value: &str) {
        let body = value.trim_end_matches('\n');
        let ends = value.len() - body.len();
        self.text.push('|');
        // Without a number, the first line's spaces would count as indentation; what a directive
        // prints there, or if it prints nothing, what comes next.
        if value.starts_with([' ', '\n', '\t']) || value.starts_with("{{") {
            let _ = write!(self.text, "{STEP}");
        }
        self.text.push_str(match ends {
            0 => "-",
            1 => "",
            _ => "+",
        });
        self.text.push('\n');
        for line in body.split('\n') {
            if !line.is_empty() {
                self.indent(depth * STEP);
                self.text.push_str(line);
            }
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n('\n', ends.saturating_sub(1)));
    }

    fn binary(&mut self, depth: usize, key: &str, bytes: &[u8]) {
        self.key(depth, key);
        self.text.push_str(" !!binary |-\n");
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        for line in text.as_bytes().chunks(76) {
            self.line(depth + 1, &String::from_utf8_lossy(line));
        }
    }

    fn pairs(&mut self, depth: usize, key: &str, pairs: &Pairs) {
        if pairs.is_empty() {
            self.line(depth, &format!("{key}: {{}}"));
            return;
        }
        self.line(depth, &format!("{key}:"));
        pairs.iter().for_each(|(name, value)| self.text(depth + 1, name, value));
    }

    fn list(&mut self, depth: usize, key: &str, items: &[String]) {
        self.key(depth, key);
        if items.is_empty() {
            self.text.push_str(" []\n");
            return;
        }
        self.text.push('\n');
        for item in items {
            self.indent((depth + 1) * STEP);
            self.text.push_str("- ");
            self.scalar(depth + 2, item);
        }
    }

    fn list_unless_empty(&mut self, depth: usize, key: &str, items: &[String]) {
        if !items.is_empty() {
            self.list(depth, key, items);
        }
    }

    fn json_list(
        &mut self,
        depth: usize,
        key: &str,
        items: impl ExactSizeIterator<Item = serde_json::Value>,
    ) {
        if items.len() == 0 {
            return;
        }
        self.line(depth, &format!("{key}:"));
        items.for_each(|item| self.line(depth + 1, &format!("- {}", one_line_json(&item))));
    }

    /// JSON is YAML too.
    fn extra(&mut self, depth: usize, extra: &Extra) {
        for (name, value) in extra {
            self.key(depth, name);
            let _ = writeln!(self.text, " {}", one_line_json(value));
        }
    }
}

/// JSON on one line in which braces never open a directive.
fn one_line_json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(entries) => {
            let entries =
                entries.iter().map(|(name, value)| format!("{}: {}", json_text(name), one_line_json(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(one_line_json).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::String(text) => json_text(text),
        scalar => scalar.to_string(),
    }
}

fn json_text(text: &str) -> String {
    if directives(text).is_empty() { quoted(&literal(text)) } else { quoted(text) }
}

/// Whether a text can stand without quotes, whatever its directives print on one line of simple
/// text.
fn is_plain(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_/.-+=@ ;,*()".contains(c);
    let first = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let duration =
        text.ends_with('s') && text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(' ');
    (text.starts_with(first) || duration) && text.chars().all(good) && !text.ends_with(' ') && !word
}

/// Whether YAML shows all characters as they are.
fn is_printable(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\n' | '\t' => true,
        '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
        c => !c.is_control() && !('\u{fffe}'..='\u{ffff}').contains(&c),
    })
}

/// Whether a literal block gives the text back.
fn fits_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    // A line of blanks would be taken for indentation or trimmed away.
    !body.is_empty()
        && is_printable(text)
        && body.split('\n').all(|line| line.is_empty() || !line.trim().is_empty())
        && is_closed_in_lines(text)
}

/// Whether each pair of braces is closed, on its own line: an open one would reach into what comes next in the file, and
/// indentation would get into one of several lines.
fn is_closed_in_lines(text: &str) -> bool {
    let (mut from, found) = (0, directives(text));
    for at in found {
        if text.get(from..at.start).is_some_and(|gap| gap.contains("{{"))
            || text.get(at.clone()).is_some_and(|directive| directive.contains('\n'))
        {
            return false;
        }
        from = at.end;
    }
    !text.get(from..).is_some_and(|rest| rest.contains("{{"))
}

/// In double quotes, with what cannot be shown escaped; directives stay as they are.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut from = 0;
    for at in directives(text) {
        escape(&mut out, text.get(from..at.start).unwrap_or_default());
        let directive = text.get(at.clone()).unwrap_or_default();
        // Quotes in the directive are read by the template, before YAML is.
        out.push_str(match constant(directive) {
            Some("{{") => "{{`{{`}}",
            _ => directive,
        });
        from = at.end;
    }
    escape(&mut out, text.get(from..).unwrap_or_default());
    out.push('"');
    out
}

fn escape(out: &mut String, text: &str) {
    let mut before = None;
    for c in text.chars() {
        match c {
            // It opens nothing here, and must not in the file.
            '{' if before == Some('{') => out.push_str("\\x7b"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c.encode_utf8(&mut [0; 4])) => out.push(c),
            c if u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
        before = Some(c);
    }
}
