//! A value of a document together with where it stands.

use serde_json::Value;

use super::read::Reader;
use crate::documents::Node;
use crate::problem::Place;

#[derive(Clone)]
pub(super) struct Spot<'d> {
    pub(super) node: Node<'d>,
    pub(super) at: String,
}

impl<'d> Spot<'d> {
    /// What stands below a key.
    pub(super) fn get(&self, key: &str) -> Option<Spot<'d>> {
        self.node.get(key).map(|node| Spot { node, at: self.below(key) })
    }

    fn below(&self, key: &str) -> String {
        format!("{}/{}", self.at, key.replace('~', "~0").replace('/', "~1"))
    }

    /// The members, without extensions.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'d str, Spot<'d>)> + use<'_, 'd> {
        self.all_members().filter(|(key, _)| !key.starts_with("x-"))
    }

    /// The members, where names such as `x-id` are names like others.
    pub(super) fn all_members(&self) -> impl Iterator<Item = (&'d str, Spot<'d>)> + use<'_, 'd> {
        let members = self.node.value.as_object().into_iter().flatten();
        members.map(|(key, value)| (key.as_str(), Spot { node: self.node.with(value), at: self.below(key) }))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Spot<'d>> + use<'_, 'd> {
        let items = self.node.value.as_array().into_iter().flatten();
        items
            .enumerate()
            .map(|(index, value)| Spot { node: self.node.with(value), at: format!("{}/{index}", self.at) })
    }

    /// A text, or a number or truth value as one.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.node.value.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    pub(super) fn text_or_empty(&self, key: &str) -> String {
        self.text(key).unwrap_or_default()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.node.value.get(key).and_then(Value::as_bool)
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let items = self.node.value.get(key)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    pub(super) fn place<T>(&self, work: impl FnOnce(&Place<'_>) -> T) -> T {
        let (document, pointer) = self.at.split_once('#').unwrap_or(("", &self.at));
        work(&Place::Start { document, pointer })
    }

    /// What stands here, or what the reference that stands here leads to. It must be an object.
    pub(super) fn resolved(self, reader: &Reader<'d>) -> Option<Spot<'d>> {
        let spot = match self.node.value.get("$ref").and_then(Value::as_str) {
            None => self,
            Some(reference) => match reader.documents.resolve(self.node.document, reference) {
                Ok(target) => {
                    let document = reader.documents.name(target.node.document);
                    Spot { node: target.node, at: format!("{document}#{}", target.pointer) }
                }
                Err(why) => {
                    reader.problem(&self, format!("left out: {why}"));
                    return None;
                }
            },
        };
        if !spot.node.value.is_object() {
            reader.problem(&spot, "left out: not an object");
            return None;
        }
        Some(spot)
    }
}
