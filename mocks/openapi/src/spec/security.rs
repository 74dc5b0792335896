//! Security schemes, and which operations want them.

use serde_json::Value;

use super::read::Reader;
use super::spot::Spot;
use super::{Requirement, SecurityScheme, Version};

pub(super) fn schemes<'d>(reader: &mut Reader<'d>, root: &Spot<'d>) -> Vec<SecurityScheme> {
    let all = if reader.version == Version::V2 {
        root.get("securityDefinitions")
    } else {
        root.get("components").and_then(|components| components.get("securitySchemes"))
    };
    let Some(all) = all else { return Vec::new() };
    let mut list = Vec::new();
    for (name, spot) in all.all_members() {
        let Some(spot) = spot.resolved(reader) else { continue };
        let Some(kind) = spot.text("type") else {
            reader.problem(&spot, "the security scheme is left out: it has no type");
            continue;
        };
        // What Swagger 2.0 calls `basic` is a scheme of `http`.
        let basic = kind == "basic";
        list.push(SecurityScheme {
            name: name.to_owned(),
            kind: if basic { "http".to_owned() } else { kind },
            key: spot.text_or_empty("name"),
            location: spot.text_or_empty("in"),
            scheme: if basic { "basic".to_owned() } else { spot.text_or_empty("scheme") },
            format: spot.text_or_empty("bearerFormat"),
            url: url(&spot),
            description: spot.text_or_empty("description"),
            scopes: scopes(&spot),
        });
    }
    list
}

fn flows<'d>(spot: &Spot<'d>) -> Vec<Spot<'d>> {
    let flows = spot.get("flows").map(|flows| flows.members().map(|(_, flow)| flow).collect());
    flows.unwrap_or_else(|| vec![spot.clone()])
}

fn url(spot: &Spot<'_>) -> String {
    let keys = ["openIdConnectUrl", "authorizationUrl", "tokenUrl"];
    let all = flows(spot);
    let mut urls =
        std::iter::once(spot).chain(&all).flat_map(|spot| keys.iter().filter_map(|key| spot.text(key)));
    urls.next().unwrap_or_default()
}

fn scopes(spot: &Spot<'_>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for flow in flows(spot) {
        let names =
            flow.get("scopes").map(|scopes| scopes.all_members().map(|(name, _)| name.to_owned()).collect());
        for name in names.unwrap_or_else(Vec::new) {
            if !list.contains(&name) {
                list.push(name);
            }
        }
    }
    list
}

/// What `security` asks for here; `None` if nothing is said.
pub(super) fn requirements(spot: &Spot<'_>) -> Option<Vec<Vec<Requirement>>> {
    let list = spot.get("security")?;
    let texts = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let all = |item: Spot<'_>| {
        let members = item.node.value.as_object().into_iter().flatten();
        members.map(|(name, scopes)| Requirement { name: name.clone(), scopes: texts(scopes) }).collect()
    };
    Some(list.items().map(all).collect())
}
