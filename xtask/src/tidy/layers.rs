//! Arrows point down: a crate depends only on crates of its own product and of a lower layer.

use super::Complaint;
use super::manifest::{Dependency, House, Member};

/// What the ground floor must not know: runtimes, drivers, command lines, servers, metrics. A trailing `*` stands
/// for any ending.
const NOT_ON_THE_GROUND: [&str; 24] = [
    "async-std",
    "aws-*",
    "axum*",
    "clap*",
    "deadpool*",
    "diesel*",
    "futures*",
    "hyper*",
    "metrics*",
    "mysql*",
    "native-tls",
    "openssl*",
    "opentelemetry*",
    "postgres*",
    "prometheus*",
    "redis",
    "reqwest",
    "rusqlite",
    "rustls*",
    "smol",
    "sqlx*",
    "tokio*",
    "tower*",
    "tracing-subscriber",
];

pub(super) fn check(members: &[Member]) -> Vec<Complaint> {
    members.iter().flat_map(|member| check_member(member, members)).collect()
}

fn check_member(member: &Member, members: &[Member]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if !member.has_lints {
        let text = "the workspace's lints do not apply; add `[lints]` with `workspace = true`";
        complaints.push(Complaint::new(member.file(), 0, text));
    }
    let Some(house) = &member.house else {
        let text = "product and layer are not said; add [package.metadata.house] with `product` and `layer` \
                    (ARCHITECTURE.md has the map)";
        complaints.push(Complaint::new(member.file(), 0, text));
        return complaints;
    };
    for dependency in &member.dependencies {
        let text = match members.iter().find(|other| other.name == dependency.name) {
            Some(other) => other.house.as_ref().and_then(|below| wrong_arrow(house, below, dependency)),
            None => foreign(house, dependency),
        };
        if let Some(text) = text {
            let line = member.line_of(&dependency.name);
            complaints.push(Complaint::new(member.file(), line, format!("{} {text}", member.name)));
        }
    }
    complaints
}

fn wrong_arrow(house: &House, below: &House, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    if house.product != below.product {
        return Some(format!(
            "({}) depends on {name} ({}): products do not share code; let them meet through their programs",
            house.product, below.product
        ));
    }
    let (allowed, rule) = match dependency.is_dev {
        true => (below.layer <= house.layer, "even tests use only this layer or lower ones"),
        false => (below.layer < house.layer, "arrows point down; move what is shared into a lower layer"),
    };
    (!allowed).then(|| format!("(layer {}) depends on {name} (layer {}): {rule}", house.layer, below.layer))
}

fn foreign(house: &House, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    let forbidden = NOT_ON_THE_GROUND.iter().any(|rule| match rule.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == rule,
    });
    (house.layer == 0 && !dependency.is_dev && forbidden).then(|| {
        format!("(layer 0) depends on {name}: the ground floor knows no driver, runtime or IO; use it in a layer above")
    })
}
