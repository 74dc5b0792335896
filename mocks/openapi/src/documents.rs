//! The specification and the documents it refers to, and what references in them lead to.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use crate::document::parse_document;
use crate::loader::{Loader, locate};

/// How many documents a specification may be spread over.
const MAX_DOCUMENTS: usize = 500;
/// How long a chain of references may be.
const MAX_CHAIN: usize = 64;

/// A value in one of the documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'d> {
    pub(crate) document: usize,
    pub(crate) value: &'d Value,
}

impl<'d> Node<'d> {
    /// Another value of the same document.
    pub(crate) fn with(self, value: &'d Value) -> Node<'d> {
        Node { value, ..self }
    }

    pub(crate) fn get(self, key: &str) -> Option<Node<'d>> {
        self.value.get(key).map(|value| self.with(value))
    }

    /// What tells this value from all others.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.value) as usize
    }
}

#[derive(Debug)]
struct Document {
    location: String,
    root: Value,
    /// Pointers to what has an `$anchor`.
    anchors: HashMap<String, String>,
}

/// All documents. References are followed only in here, so nothing is read any more.
#[derive(Debug)]
pub(crate) struct Documents {
    documents: Vec<Document>,
    by_location: HashMap<String, usize>,
    failures: HashMap<String, String>,
    remote: bool,
}

/// Where a reference leads.
pub(crate) struct Target<'d> {
    pub(crate) node: Node<'d>,
    /// The JSON pointer within its document.
    pub(crate) pointer: String,
}

impl Documents {
    /// Takes the specification and reads what it refers to, directly or not.
    pub(crate) fn load(root: Value, location: &str, loader: &dyn Loader, remote: bool) -> Self {
        let mut documents = Documents {
            documents: Vec::new(),
            by_location: HashMap::from([(location.to_owned(), 0)]),
            failures: HashMap::new(),
            remote,
        };
        let mut waiting: VecDeque<(String, Value)> = VecDeque::from([(location.to_owned(), root)]);
        while let Some((location, root)) = waiting.pop_front() {
            let mut found = Found::default();
            found.scan(&root, &mut String::new());
            documents.documents.push(Document { location: location.clone(), root, anchors: found.anchors });
            for reference in found.files {
                let Ok(next) = locate(&location, &reference, remote) else { continue };
                if documents.by_location.contains_key(&next) || documents.failures.contains_key(&next) {
                    continue;
                }
                let count = documents.by_location.len();
                match read(loader, &next, count) {
                    Ok(root) => {
                        documents.by_location.insert(next.clone(), count);
                        waiting.push_back((next, root));
                    }
                    Err(why) => {
                        documents.failures.insert(next, why);
                    }
                }
            }
        }
        documents
    }

    /// The specification itself.
    pub(crate) fn root(&self) -> Node<'_> {
        const NULL: &Value = &Value::Null;
        Node { document: 0, value: self.documents.first().map_or(NULL, |document| &document.root) }
    }

    /// How a document is called in messages; the specification itself has no name.
    pub(crate) fn name(&self, document: usize) -> &str {
        if document == 0 { "" } else { self.documents.get(document).map_or("", |one| &one.location) }
    }

    /// What one reference leads to.
    pub(crate) fn target(&self, from: usize, reference: &str) -> Result<Target<'_>, String> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let document = if file.is_empty() { from } else { self.document(from, file)? };
        let Document { root, anchors, .. } =
            self.documents.get(document).ok_or("there is no such document")?;
        let fragment = percent_decoded(fragment);
        let pointer = if fragment.is_empty() || fragment.starts_with('/') {
            fragment
        } else {
            anchors.get(&fragment).cloned().ok_or_else(|| format!("nothing has the anchor {fragment:?}"))?
        };
        let value = root.pointer(&pointer).ok_or_else(|| format!("there is nothing at {reference}"))?;
        Ok(Target { node: Node { document, value }, pointer })
    }

    /// What stands at the end of a chain of references that begins with `reference`.
    pub(crate) fn resolve(&self, from: usize, reference: &str) -> Result<Target<'_>, String> {
        let mut target = self.target(from, reference)?;
        for _ in 0..MAX_CHAIN {
            let Some(next) = only_reference(target.node.value) else { return Ok(target) };
            target = self.target(target.node.document, next)?;
        }
        Err(format!("{reference} leads to itself"))
    }

    fn document(&self, from: usize, file: &str) -> Result<usize, String> {
        let base = self.documents.get(from).map_or("", |document| &document.location);
        let location =
            locate(base, file, self.remote).map_err(|refusal| format!("{file} is not read: {refusal}"))?;
        match (self.by_location.get(&location), self.failures.get(&location)) {
            (Some(document), _) => Ok(*document),
            (None, Some(why)) => Err(format!("{location} cannot be read: {why}")),
            (None, None) => Err(format!("{location} was not read")),
        }
    }
}

/// The reference of a value that is nothing but one.
fn only_reference(value: &Value) -> Option<&str> {
    let members = value.as_object()?;
    let reference = members.get("$ref")?.as_str()?;
    members.keys().all(|key| matches!(key.as_str(), "$ref" | "description" | "summary")).then_some(reference)
}

fn read(loader: &dyn Loader, location: &str, known: usize) -> Result<Value, String> {
    if known >= MAX_DOCUMENTS {
        return Err(format!("there are more than {MAX_DOCUMENTS} documents"));
    }
    let bytes = loader.load(location).map_err(|error| error.to_string())?;
    parse_document(&bytes).map_err(|error| error.to_string())
}

/// What a document says that matters before it is read in earnest.
#[derive(Default)]
struct Found {
    /// Other documents, each once, in the order of the text.
    files: Vec<String>,
    known: HashSet<String>,
    anchors: HashMap<String, String>,
}

impl Found {
    fn scan(&mut self, value: &Value, pointer: &mut String) {
        let length = pointer.len();
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    if let Some(text) = member.as_str() {
                        self.text(key, text, pointer);
                    } else if !member.is_number() && !member.is_boolean() {
                        pointer.push('/');
                        escape_into(pointer, key);
                        self.scan(member, pointer);
                        pointer.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in
                    items.iter().enumerate().filter(|(_, item)| item.is_array() || item.is_object())
                {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                    self.scan(item, pointer);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, key: &str, text: &str, pointer: &str) {
        match key {
            "$ref" => {
                let file = text.split('#').next().unwrap_or_default();
                if !file.is_empty() && self.known.insert(file.to_owned()) {
                    self.files.push(file.to_owned());
                }
            }
            "$anchor" | "$dynamicAnchor" => {
                self.anchors.insert(text.to_owned(), pointer.to_owned());
            }
            _ => {}
        }
    }
}

fn escape_into(pointer: &mut String, key: &str) {
    for c in key.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// A text with its `%41` written out. What is no UTF-8 then is replaced.
pub(crate) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(code) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(code);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::{LoadError, NoDocuments};
    use serde_json::json;

    #[test]
    fn references_lead_through_documents() {
        let loader = |location: &str| -> Result<Vec<u8>, LoadError> {
            match location {
                "models/pet.yaml" => Ok(b"Pet: {$ref: '../tag.yaml'}".to_vec()),
                "tag.yaml" => Ok(b"{type: string}".to_vec()),
                _ => Err("no such file".into()),
            }
        };
        let root = json!({"a": {"$ref": "models/pet.yaml#/Pet"}, "b": {"$ref": "#/x~1y/%7Bz%7D"}, "x/y": {"{z}": 1},
                          "c": {"$ref": "missing.yaml"}, "d": {"$ref": "../up.yaml"}, "e": {"$anchor": "here"}});
        let documents = Documents::load(root, "", &loader, false);
        let value = |reference| documents.resolve(0, reference).map(|target| target.node.value.clone());
        assert_eq!(value("models/pet.yaml#/Pet").unwrap(), json!({"type": "string"}));
        assert_eq!(value("#/x~1y/%7Bz%7D").unwrap(), json!(1));
        assert_eq!(value("#here").unwrap(), json!({"$anchor": "here"}));
        assert!(value("missing.yaml").unwrap_err().contains("no such file"));
        assert!(value("../up.yaml").unwrap_err().contains("out of the folder"));
        assert!(value("#/nothing").is_err());
    }

    #[test]
    fn chains_that_lead_to_themselves_end() {
        let root = json!({"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}});
        let documents = Documents::load(root, "", &NoDocuments, false);
        assert!(documents.resolve(0, "#/a").is_err_and(|why| why.contains("itself")));
    }
}
