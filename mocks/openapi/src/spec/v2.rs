//! Swagger 2.0. Parameters are their own schemas there, and bodies are parameters.

use serde_json::Value;

use super::read::Reader;
use super::responses::responses;
use super::spot::Spot;
use super::{Body, Location, Media, Operation, Parameter, Style, is_media_type};
use crate::schema::{ObjectRules, Schema, SchemaId, Types};

pub(super) fn fill<'d>(
    reader: &mut Reader<'d>,
    spot: &Spot<'d>,
    shared: &[Spot<'d>],
    own: &[Spot<'d>],
    operation: &mut Operation,
) {
    let consumes = media_types(reader, spot, "consumes").unwrap_or_else(|| reader.consumes.clone());
    let mut form: Vec<(String, bool, Spot<'d>)> = Vec::new();
    for parameter in shared.iter().chain(own) {
        let Some(parameter) = parameter.clone().resolved(reader) else { continue };
        let Some(name) = parameter.text("name") else {
            reader.problem(&parameter, "the parameter is left out: it has no name");
            continue;
        };
        let required = parameter.flag("required").unwrap_or(false);
        match parameter.text("in").as_deref() {
            Some("body") => operation.body = Some(body(reader, &parameter, required, &consumes)),
            Some("formData") => form.push((name, required, parameter)),
            Some(place) => match location(place) {
                Some(location) => {
                    operation.parameters.extend(plain(reader, &parameter, name, location, required));
                }
                None => {
                    let what = format!("the parameter {name:?} is left out: it is in {place}");
                    reader.problem(&parameter, what);
                }
            },
            None => reader.problem(&parameter, "the parameter is left out: it does not say where it is"),
        }
    }
    if !form.is_empty() {
        operation.body = Some(form_body(reader, form, &consumes));
    }
    let produces = media_types(reader, spot, "produces").unwrap_or_else(|| reader.produces.clone());
    operation.responses = responses(reader, spot, |reader, response| content(reader, response, &produces));
}

fn location(place: &str) -> Option<Location> {
    match place {
        "path" => Some(Location::Path),
        "query" => Some(Location::Query),
        "header" => Some(Location::Header),
        _ => None,
    }
}

fn plain<'d>(
    reader: &mut Reader<'d>,
    spot: &Spot<'d>,
    name: String,
    location: Location,
    required: bool,
) -> Option<Parameter> {
    let told =
        ["accept", "content-type", "authorization"].iter().any(|known| name.eq_ignore_ascii_case(known));
    if told && location == Location::Header {
        return None;
    }
    let in_query = location == Location::Query;
    let (style, explode) = match spot.text("collectionFormat").as_deref() {
        Some("multi") if in_query => (Style::Form, true),
        Some("ssv") => (Style::Space, false),
        Some("tsv") => (Style::Tab, false),
        Some("pipes") => (Style::Pipe, false),
        _ if in_query => (Style::Form, false),
        _ => (Style::Simple, false),
    };
    Some(Parameter {
        name,
        location,
        required: required || location == Location::Path,
        schema: reader.schema(spot),
        style,
        explode,
        media: None,
        examples: spot.get("x-example").map(|example| example.node.value.clone()).into_iter().collect(),
    })
}

/// A list of media types, without those that are none.
pub(super) fn media_types<'d>(reader: &Reader<'d>, spot: &Spot<'d>, key: &str) -> Option<Vec<String>> {
    let mut names = spot.texts(key)?;
    names.retain(|name| {
        let known = is_media_type(name);
        if !known {
            reader.problem(spot, format!("{name:?} of `{key}` is left out: it is no media type"));
        }
        known
    });
    Some(names)
}

fn json_if_none(media: &[String]) -> Vec<String> {
    if media.is_empty() { vec!["application/json".to_owned()] } else { media.to_vec() }
}

fn body<'d>(reader: &mut Reader<'d>, spot: &Spot<'d>, required: bool, consumes: &[String]) -> Body {
    let schema = spot.get("schema").map(|schema| reader.schema(&schema));
    let media = |name| Media { name, schema, examples: Vec::new() };
    Body { required, content: json_if_none(consumes).into_iter().map(media).collect() }
}

fn form_body<'d>(reader: &mut Reader<'d>, form: Vec<(String, bool, Spot<'d>)>, consumes: &[String]) -> Body {
    let mut rules = ObjectRules::default();
    let mut has_file = false;
    for (name, required, spot) in form {
        has_file |= spot.text("type").as_deref() == Some("file");
        let id: SchemaId = reader.schema(&spot);
        rules.properties.push((name.as_str().into(), id));
        if required {
            rules.required.push(name.into());
        }
    }
    let entry = |(at, (name, _)): (usize, &(Box<str>, _))| (name.clone(), u32::try_from(at).unwrap_or(0));
    rules.index = rules.properties.iter().enumerate().map(entry).collect();
    let required = !rules.required.is_empty();
    let schema = Schema { types: Types::OBJECT, object: Some(Box::new(rules)), ..Schema::any() };
    let schema = reader.compiler.add(schema);
    let usual = if has_file { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
    let mut names: Vec<String> = consumes.iter().filter(|name| name.contains("form")).cloned().collect();
    if names.is_empty() {
        names.push(usual.to_owned());
    }
    let media = |name| Media { name, schema: Some(schema), examples: Vec::new() };
    Body { required, content: names.into_iter().map(media).collect() }
}

fn content<'d>(reader: &mut Reader<'d>, response: &Spot<'d>, produces: &[String]) -> Vec<Media> {
    let examples = response.get("examples");
    let example = |name: &str| {
        let example = examples.as_ref().and_then(|examples| examples.node.value.get(name));
        example.map(|value| (None, Value::clone(value))).into_iter().collect::<Vec<_>>()
    };
    let schema = response.get("schema").map(|schema| reader.schema(&schema));
    if schema.is_none() {
        let named = examples.iter().flat_map(|all| all.members().map(|(name, _)| name).collect::<Vec<_>>());
        return named.map(|name| Media { name: name.to_owned(), schema, examples: example(name) }).collect();
    }
    let media = |name: String| Media { examples: example(&name), name, schema };
    json_if_none(produces).into_iter().map(media).collect()
}
