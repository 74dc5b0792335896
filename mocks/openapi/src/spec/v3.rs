//! OpenAPI 3.0 and 3.1.

use super::read::Reader;
use super::responses::{examples, responses};
use super::spot::Spot;
use super::{Body, Location, Media, Operation, Parameter, Style, is_media_type};

pub(super) fn fill<'d>(
    reader: &mut Reader<'d>,
    spot: &Spot<'d>,
    shared: &[Spot<'d>],
    own: &[Spot<'d>],
    operation: &mut Operation,
) {
    for parameter in shared.iter().chain(own) {
        operation.parameters.extend(read_parameter(reader, parameter.clone()));
    }
    operation.body = spot.get("requestBody").and_then(|body| read_body(reader, body));
    operation.responses = responses(reader, spot, content);
}

fn read_body<'d>(reader: &mut Reader<'d>, body: Spot<'d>) -> Option<Body> {
    let body = body.resolved(reader)?;
    let content = content(reader, &body);
    if content.is_empty() {
        reader.problem(&body, "the body has no content; it is left out");
        return None;
    }
    Some(Body { required: body.flag("required").unwrap_or(false), content })
}

fn content<'d>(reader: &mut Reader<'d>, spot: &Spot<'d>) -> Vec<Media> {
    let Some(content) = spot.get("content") else { return Vec::new() };
    let mut list = Vec::new();
    for (name, media) in content.members() {
        if !is_media_type(name) {
            reader.problem(&media, "left out: it is no media type");
            continue;
        }
        let Some(media) = media.resolved(reader) else { continue };
        let schema = media.get("schema").map(|schema| reader.schema(&schema));
        list.push(Media { name: name.to_owned(), schema, examples: examples(reader, &media) });
    }
    list
}

fn read_parameter<'d>(reader: &mut Reader<'d>, spot: Spot<'d>) -> Option<Parameter> {
    let spot = spot.resolved(reader)?;
    let Some(name) = spot.text("name") else {
        reader.problem(&spot, "the parameter is left out: it has no name");
        return None;
    };
    let location = match spot.text("in").as_deref() {
        Some("path") => Location::Path,
        Some("query") => Location::Query,
        Some("header") => Location::Header,
        Some("cookie") => Location::Cookie,
        other => {
            let place = other.unwrap_or("nowhere").to_owned();
            reader.problem(&spot, format!("the parameter {name:?} is left out: it is in {place}"));
            return None;
        }
    };
    // These three are told elsewhere, and specifications may not speak of them as parameters.
    let told =
        ["accept", "content-type", "authorization"].iter().any(|known| name.eq_ignore_ascii_case(known));
    if told && location == Location::Header {
        return None;
    }
    let content = content(reader, &spot).into_iter().next();
    let schema = match (spot.get("schema"), &content) {
        (Some(schema), _) => reader.schema(&schema),
        (None, Some(Media { schema: Some(schema), .. })) => *schema,
        (None, _) => reader.string_schema(),
    };
    let style = style(reader, &spot, location);
    let mut values: Vec<_> = examples(reader, &spot).into_iter().map(|(_, value)| value).collect();
    values.extend(content.iter().flat_map(|media| &media.examples).map(|(_, value)| value.clone()));
    Some(Parameter {
        name,
        location,
        required: location == Location::Path || spot.flag("required").unwrap_or(false),
        schema,
        style,
        explode: spot.flag("explode").unwrap_or(style == Style::Form),
        media: content.filter(|_| spot.get("schema").is_none()).map(|media| media.name),
        examples: values,
    })
}

fn style<'d>(reader: &Reader<'d>, spot: &Spot<'d>, location: Location) -> Style {
    let usual = match location {
        Location::Path | Location::Header => Style::Simple,
        Location::Query | Location::Cookie => Style::Form,
    };
    match spot.text("style").as_deref() {
        None => usual,
        Some("simple") => Style::Simple,
        Some("form") => Style::Form,
        Some("spaceDelimited") => Style::Space,
        Some("pipeDelimited") => Style::Pipe,
        Some("label") => Style::Label,
        Some("matrix") => Style::Matrix,
        Some("deepObject") => Style::DeepObject,
        Some(other) => {
            reader.problem(spot, format!("there is no style {other:?}; the usual one is taken"));
            usual
        }
    }
}
