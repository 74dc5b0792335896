//! Bodies in XML, as the values that their schemas speak of.

use serde_json::{Map, Value};

use super::decode::{self, Kind};
use crate::plan::xml_name;
use crate::schema::{Schema, SchemaId, Schemas, Xml};

/// Elements are not nested deeper.
const MAX_DEPTH: usize = 200;

/// An element, without what names and attributes say about namespaces.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    /// All of its text together.
    text: String,
}

/// The value of a document.
///
/// # Errors
/// It is not well-formed.
pub(super) fn value(schemas: &Schemas, id: SchemaId, text: &str) -> Result<Value, String> {
    let root = Reader { text, at: 0 }.document()?;
    Ok(of_element(schemas, id, &root, 0))
}

fn of_element(schemas: &Schemas, id: SchemaId, element: &Element, depth: usize) -> Value {
    match Kind::of(schemas, id) {
        _ if depth > MAX_DEPTH => Value::Null,
        Kind::List => {
            let items = schemas.get(schemas.follow(id)).array.as_ref().and_then(|rules| rules.items);
            Value::Array(list(schemas, items, &element.children.iter().collect::<Vec<_>>(), depth))
        }
        // A text where members are wanted.
        Kind::Object
            if element.children.is_empty()
                && element.attributes.is_empty()
                && !element.text.trim().is_empty() =>
        {
            Value::from(element.text.as_str())
        }
        Kind::Object => Value::Object(object(schemas, id, element, depth)),
        Kind::Scalar if element.children.is_empty() => decode::scalar(schemas, id, &element.text),
        // Nothing is known about it; it is not wrong.
        Kind::Scalar => Value::Object(object(schemas, id, element, depth)),
    }
}

fn list(schemas: &Schemas, items: Option<SchemaId>, elements: &[&Element], depth: usize) -> Vec<Value> {
    let item = |element: &&Element| match items {
        Some(id) => of_element(schemas, id, element, depth + 1),
        None => Value::from(element.text.as_str()),
    };
    elements.iter().map(item).collect()
}

fn object(schemas: &Schemas, id: SchemaId, element: &Element, depth: usize) -> Map<String, Value> {
    let mut members = Map::new();
    let mut known: Vec<String> = Vec::new();
    for (name, id) in decode::properties(schemas, id) {
        let (own, target) = (schemas.get(id), schemas.get(schemas.follow(id)));
        let hints = Hints { own: own.xml.as_deref(), target: target.xml.as_deref() };
        let told = xml_name(hints.name().unwrap_or(&name));
        if hints.is_attribute() {
            let value = element.attributes.iter().find(|(known, _)| *known == told);
            members.extend(value.map(|(_, text)| (name, decode::scalar(schemas, id, text))));
            continue;
        }
        let named =
            |name: &str| element.children.iter().filter(|child| child.name == name).collect::<Vec<_>>();
        if Kind::of(schemas, id) == Kind::List {
            let items = target.array.as_ref().and_then(|rules| rules.items);
            let found = if hints.is_wrapped() {
                let around = named(&told);
                known.push(told);
                around.first().map(|around| around.children.iter().collect::<Vec<_>>())
            } else {
                let item = items.map(|id| item_name(schemas, id, &told)).unwrap_or(told);
                let found = named(&item);
                known.push(item);
                (!found.is_empty()).then_some(found)
            };
            members.extend(found.map(|found| (name, Value::Array(list(schemas, items, &found, depth)))));
            continue;
        }
        if let Some(child) = named(&told).first() {
            members.insert(name, of_element(schemas, id, child, depth + 1));
        }
        known.push(told);
    }
    let additional = schemas.get(schemas.follow(id)).object.as_ref().and_then(|rules| rules.additional);
    for child in element.children.iter().filter(|child| !known.contains(&child.name)) {
        let value = match additional {
            Some(id) => of_element(schemas, id, child, depth + 1),
            None => Value::from(child.text.as_str()),
        };
        members.entry(child.name.clone()).or_insert(value);
    }
    decode::add_empty_lists(schemas, id, &mut members);
    members
}

/// A value as a document, which is read as that value again.
pub(crate) fn document(schemas: &Schemas, id: SchemaId, value: &Value) -> String {
    let schema = schemas.get(schemas.follow(id));
    let name = schema.xml.as_ref().and_then(|xml| xml.name.as_deref()).or(schema.name.as_deref());
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write(&mut text, schemas, id, name.unwrap_or("root"), value, 0);
    text
}

fn write(text: &mut String, schemas: &Schemas, id: SchemaId, name: &str, value: &Value, depth: usize) {
    let (mut attributes, mut inner) = (String::new(), String::new());
    match value {
        _ if depth > MAX_DEPTH => {}
        Value::Object(members) => {
            let known = decode::properties(schemas, id);
            for (name, value) in members {
                let id = known.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
                member(&mut attributes, &mut inner, schemas, (name, id), value, depth);
            }
        }
        Value::Array(items) => {
            let id = schemas.get(schemas.follow(id)).array.as_ref().and_then(|rules| rules.items);
            items.iter().for_each(|item| child(&mut inner, schemas, id, "item", item, depth));
        }
        scalar => inner = escaped(scalar),
    }
    let name = xml_name(name);
    text.push_str(&format!("<{name}{attributes}>{inner}</{name}>"));
}

fn member(
    attributes: &mut String,
    inner: &mut String,
    schemas: &Schemas,
    (name, id): (&str, Option<SchemaId>),
    value: &Value,
    depth: usize,
) {
    let Some(id) = id else { return child(inner, schemas, None, name, value, depth) };
    let (own, target) = (schemas.get(id), schemas.get(schemas.follow(id)));
    let hints = Hints { own: own.xml.as_deref(), target: target.xml.as_deref() };
    let told = hints.name().unwrap_or(name);
    let items = target.array.as_ref().and_then(|rules| rules.items);
    match value {
        _ if hints.is_attribute() => {
            attributes.push_str(&format!(" {}=\"{}\"", xml_name(told), escaped(value)));
        }
        Value::Array(list) if hints.is_wrapped() => {
            let around = xml_name(told);
            inner.push_str(&format!("<{around}>"));
            list.iter().for_each(|item| child(inner, schemas, items, told, item, depth));
            inner.push_str(&format!("</{around}>"));
        }
        Value::Array(list) => list.iter().for_each(|item| child(inner, schemas, items, told, item, depth)),
        value => write(inner, schemas, id, told, value, depth + 1),
    }
}

/// An item, or something of which nothing is known.
fn child(
    text: &mut String,
    schemas: &Schemas,
    id: Option<SchemaId>,
    usual: &str,
    value: &Value,
    depth: usize,
) {
    match id {
        Some(id) => write(text, schemas, id, &item_name(schemas, id, usual), value, depth + 1),
        None => {
            let name = xml_name(usual);
            text.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
        }
    }
}

fn escaped(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn item_name(schemas: &Schemas, id: SchemaId, usual: &str) -> String {
    let (own, target): (&Schema, &Schema) = (schemas.get(id), schemas.get(schemas.follow(id)));
    let hints = Hints { own: own.xml.as_deref(), target: target.xml.as_deref() };
    xml_name(hints.name().unwrap_or(usual))
}

/// What is said about XML where a schema is used, or where it stands.
struct Hints<'s> {
    own: Option<&'s Xml>,
    target: Option<&'s Xml>,
}

impl<'s> Hints<'s> {
    fn name(&self) -> Option<&'s str> {
        let named = |xml: Option<&'s Xml>| xml.and_then(|xml| xml.name.as_deref());
        named(self.own).or_else(|| named(self.target))
    }

    fn is_attribute(&self) -> bool {
        self.own.or(self.target).is_some_and(|xml| xml.attribute)
    }

    fn is_wrapped(&self) -> bool {
        self.own.or(self.target).is_some_and(|xml| xml.wrapped)
    }
}

/// Reads the elements of a text; knows no entities but those of XML itself, so nothing grows.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("is not XML: {what} at byte {}", self.at))
    }

    /// Goes behind `end`, and gives what is before it.
    fn until(&mut self, end: &str) -> Result<&'t str, String> {
        let rest = self.rest();
        match rest.find(end) {
            Some(length) => {
                self.at += length + end.len();
                Ok(rest.get(..length).unwrap_or_default())
            }
            None => self.wrong(&format!("there is no {end:?}")),
        }
    }

    fn document(mut self) -> Result<Element, String> {
        self.between()?;
        if !self.rest().starts_with('<') {
            return self.wrong("there is no element");
        }
        let root = self.elements()?;
        self.between()?;
        if self.rest().is_empty() { Ok(root) } else { self.wrong("something stands behind the element") }
    }

    /// White space, comments, instructions, and the type of the document.
    fn between(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
            self.at += rest.len() - trimmed.len();
            match trimmed {
                trimmed if trimmed.starts_with("<?") => self.until("?>")?,
                trimmed if trimmed.starts_with("<!--") => self.until("-->")?,
                trimmed if trimmed.starts_with("<!DOCTYPE") && !trimmed.contains("<!ENTITY") => {
                    self.until(">")?
                }
                _ => return Ok(()),
            };
        }
    }

    /// An element with all that is in it.
    fn elements(&mut self) -> Result<Element, String> {
        let mut open: Vec<(String, Element)> = Vec::new();
        loop {
            let rest = self.rest();
            let done = if rest.starts_with("<!--") {
                self.until("-->")?;
                None
            } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
                self.at = self.text.len() - data.len();
                let text = self.until("]]>")?;
                open.last_mut().into_iter().for_each(|(_, element)| element.text.push_str(text));
                None
            } else if rest.starts_with("<?") {
                self.until("?>")?;
                None
            } else if rest.starts_with("</") {
                self.at += 2;
                let name = self.until(">")?.trim();
                match open.pop() {
                    Some((begun, element)) if begun == name => Some(element),
                    _ => return self.wrong("an element ends that did not begin"),
                }
            } else if rest.starts_with('<') {
                if open.len() >= MAX_DEPTH {
                    return self.wrong("it is nested too deep");
                }
                let (name, element, is_whole) = self.tag()?;
                if is_whole {
                    Some(element)
                } else {
                    open.push((name, element));
                    None
                }
            } else {
                let end = rest.find('<').unwrap_or(rest.len());
                let text = unescaped(rest.get(..end).unwrap_or_default());
                match (text, open.last_mut()) {
                    (Some(text), Some((_, element))) if end > 0 => element.text.push_str(&text),
                    _ => return self.wrong("an element does not end"),
                }
                self.at += end;
                None
            };
            match (done, open.last_mut()) {
                (Some(element), Some((_, around))) => around.children.push(element),
                (Some(element), None) => return Ok(element),
                (None, _) => {}
            }
        }
    }

    /// `<name a="b">`: the whole name, the element so far, and whether it ends with the tag.
    fn tag(&mut self) -> Result<(String, Element, bool), String> {
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return self.wrong("a name is missing");
        }
        let mut element = Element { name: local(name).to_owned(), ..Element::default() };
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if self.rest().starts_with("/>") {
                self.at += 2;
                return Ok((name.to_owned(), element, true));
            }
            if self.rest().starts_with('>') {
                self.at += 1;
                return Ok((name.to_owned(), element, false));
            }
            let attribute = self.name();
            let after = self.rest().trim_start();
            let value = after.strip_prefix('=').map(str::trim_start);
            let quote =
                value.and_then(|value| value.chars().next()).filter(|quote| matches!(quote, '"' | '\''));
            let (Some(value), Some(quote), false) = (value, quote, attribute.is_empty()) else {
                return self.wrong("an attribute has no value");
            };
            self.at = self.text.len() - value.len() + 1;
            let Some(value) = unescaped(self.until(quote.encode_utf8(&mut [0; 4]))?) else {
                return self.wrong("an unknown entity stands");
            };
            if !attribute.starts_with("xmlns") {
                element.attributes.push((local(attribute).to_owned(), value));
            }
        }
    }

    fn name(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/' | '=' | '<' | '"' | '\''));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += name.len();
        name
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// A text with its entities written out; `None` if one is not known.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after.split_once(';')?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            name => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
                Some(digits) => number(digits, 16)?,
                None => number(name.strip_prefix('#')?, 10)?,
            },
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Element, String> {
        Reader { text, at: 0 }.document()
    }

    #[test]
    fn elements_attributes_and_text_are_read() {
        let text = "<?xml version='1.0'?><!DOCTYPE a><!-- x --><p:a xmlns:p=\"u\" k='1&amp;2'>\n<b>x &lt; &#65;<![CDATA[<y>]]></b><c/></p:a>\n";
        let root = read(text).unwrap();
        assert_eq!((root.name.as_str(), root.attributes.len()), ("a", 1));
        assert_eq!(root.attributes[0], ("k".to_owned(), "1&2".to_owned()));
        assert_eq!((root.children[0].text.as_str(), root.children[1].name.as_str()), ("x < A<y>", "c"));
    }

    #[test]
    fn what_is_not_well_formed_is_told() {
        let deep = "<a>".repeat(100_000);
        for bad in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "<a b></a>",
            "<a b=1/>",
            "<a>&x;</a>",
            "<a/><b/>",
            "<",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a/>x",
            &deep,
        ] {
            assert!(read(bad).unwrap_err().starts_with("is not XML"), "{bad:.40}");
        }
    }
}
