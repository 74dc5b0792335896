//! Responses: statuses, headers, examples.

use serde_json::Value;

use super::read::Reader;
use super::spot::Spot;
use super::{Header, Media, Response, Style, Version, is_json};

pub(super) fn responses<'d>(
    reader: &mut Reader<'d>,
    operation: &Spot<'d>,
    content: impl Fn(&mut Reader<'d>, &Spot<'d>) -> Vec<Media>,
) -> Vec<Response> {
    let mut list = Vec::new();
    match operation.get("responses") {
        Some(all) if all.node.value.is_object() => {
            for (status, spot) in all.members() {
                let Some(status) = status_of(status) else {
                    reader.problem(&spot, format!("left out: {status:?} is no status"));
                    continue;
                };
                let Some(spot) = spot.resolved(reader) else { continue };
                list.push(Response {
                    status,
                    description: spot.text_or_empty("description"),
                    headers: headers(reader, &spot),
                    content: content(reader, &spot),
                    at: spot.at.clone(),
                });
            }
        }
        Some(spot) => reader.problem(&spot, "left out: not an object"),
        None => {}
    }
    if list.is_empty() {
        reader.problem(operation, "no response is told; an empty one of status 200 is taken");
        let at = operation.at.clone();
        let (headers, content) = (Vec::new(), Vec::new());
        list.push(Response { status: "200".to_owned(), description: String::new(), headers, content, at });
    }
    list
}

fn status_of(key: &str) -> Option<String> {
    let key = key.trim();
    if key.eq_ignore_ascii_case("default") {
        return Some("default".to_owned());
    }
    let bytes = key.as_bytes();
    let class = bytes.first().is_some_and(|first| (b'1'..=b'5').contains(first));
    let digits = bytes.iter().skip(1).all(u8::is_ascii_digit);
    let range = key.get(1..).is_some_and(|rest| rest.eq_ignore_ascii_case("xx"));
    (bytes.len() == 3 && class && (digits || range)).then(|| key.to_ascii_uppercase())
}

fn headers<'d>(reader: &mut Reader<'d>, response: &Spot<'d>) -> Vec<Header> {
    let Some(all) = response.get("headers") else { return Vec::new() };
    let mut list = Vec::new();
    for (name, spot) in all.all_members() {
        // The media type says it already.
        if name.eq_ignore_ascii_case("content-type") {
            continue;
        }
        let Some(spot) = spot.resolved(reader) else { continue };
        list.push(header(reader, name, &spot));
    }
    list
}

fn header<'d>(reader: &mut Reader<'d>, name: &str, spot: &Spot<'d>) -> Header {
    let is_v2 = reader.version == Version::V2;
    let content = spot.get("content").filter(|_| !is_v2 && spot.get("schema").is_none());
    let media = content.as_ref().and_then(|content| content.members().next());
    let told = media.as_ref().and_then(|(_, media)| media.get("schema")).or_else(|| spot.get("schema"));
    let schema = match told {
        _ if is_v2 => reader.schema(spot),
        Some(schema) => reader.schema(&schema),
        None => reader.string_schema(),
    };
    let mut values = examples(reader, spot);
    values.extend(media.iter().flat_map(|(_, media)| examples(reader, media)));
    Header {
        name: name.to_owned(),
        required: spot.flag("required").unwrap_or(false),
        schema,
        style: match spot.text("collectionFormat").as_deref() {
            Some("ssv") if is_v2 => Style::Space,
            Some("tsv") if is_v2 => Style::Tab,
            Some("pipes") if is_v2 => Style::Pipe,
            _ => Style::Simple,
        },
        explode: !is_v2 && spot.flag("explode").unwrap_or(false),
        media: media.map(|(name, _)| name.to_owned()).filter(|name| is_json(name)),
        examples: values.into_iter().map(|(_, value)| value).collect(),
    }
}

/// The values of `example` and `examples`.
pub(super) fn examples<'d>(reader: &Reader<'d>, spot: &Spot<'d>) -> Vec<(Option<String>, Value)> {
    let mut list: Vec<(Option<String>, Value)> = Vec::new();
    if let Some(example) = spot.get("example") {
        list.push((None, example.node.value.clone()));
    }
    if let Some(examples) = spot.get("examples") {
        for (name, example) in examples.all_members() {
            let Some(example) = example.resolved(reader) else { continue };
            match example.node.value.get("value").or_else(|| example.node.value.get("dataValue")) {
                Some(value) => list.push((Some(name.to_owned()), value.clone())),
                None => reader.problem(&example, "the example is left out: it has no value"),
            }
        }
    }
    list
}
