//! Recording as the settings want it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_mock_recorder::{
    AddressGuard, FileOptions, Mode, Names, ProxyConfig, RecorderOptions, Redaction, UpstreamOptions,
    certificates, private_key,
};
use api_mock_server::RecordingConfig;

use crate::exit::{self, Failure};
use crate::settings::{Settings, body_match, proxy};

/// All of it. Blocks while it reads certificates.
pub(super) fn config(settings: &Settings) -> Result<RecordingConfig, Failure> {
    let recorder = RecorderOptions {
        files: files(settings)?,
        max_body_bytes: settings.size("max_record_bytes"),
        max_memory_bytes: settings.size("max_record_bytes").saturating_mul(4),
        max_matched_bytes: settings.size("max_record_bytes"),
        upstream: upstream(settings)?,
        guard: guard(settings)?,
    };
    Ok(RecordingConfig {
        recorder,
        proxy: Some(proxy_config(settings)?),
        authority_dir: authority_dir(settings),
    })
}

/// Where calls for others may go.
pub(super) fn guard(settings: &Settings) -> Result<AddressGuard, Failure> {
    let guard = AddressGuard::public_only().allow(list(settings, "proxy_allow"));
    guard.map_err(|error| usage("proxy_allow", &error))
}

/// The folder of the certificate authority.
pub(super) fn authority_dir(settings: &Settings) -> PathBuf {
    let own = settings.path("ca_dir").map(Path::to_owned);
    own.unwrap_or_else(|| Path::new(settings.text("data_dir")).join(".ca"))
}

fn files(settings: &Settings) -> Result<FileOptions, Failure> {
    let names = |name: &str| settings.text(name).parse::<Names>().map_err(|error| usage(name, &error));
    let redaction = if settings.is_on("redact") { Redaction::default() } else { Redaction::none() };
    Ok(FileOptions {
        match_query: names("match_query_regex")?,
        match_headers: names("match_header_regex")?,
        match_body: body_match(settings.text("match_body")).unwrap_or_default(),
        redaction: redaction
            .with_headers(list(settings, "redact_headers"))
            .with_fields(list(settings, "redact_fields")),
        fixture_bytes: settings.size("fixture_bytes"),
    })
}

pub(super) fn upstream(settings: &Settings) -> Result<UpstreamOptions, Failure> {
    let extra_roots = match settings.path("upstream_roots") {
        Some(path) => certificates(path).map_err(|error| usage("upstream_roots", &error))?,
        None => Vec::new(),
    };
    let client_identity = match (settings.path("upstream_cert"), settings.path("upstream_key")) {
        (Some(chain), Some(key)) => Some(Arc::new((
            certificates(chain).map_err(|error| usage("upstream_cert", &error))?,
            private_key(key).map_err(|error| usage("upstream_key", &error))?,
        ))),
        _ => None,
    };
    Ok(UpstreamOptions {
        insecure: settings.is_on("insecure_upstream"),
        extra_roots,
        client_identity,
        proxy: proxy(settings.text("proxy_url")),
        connect_timeout: settings.duration("connection_timeout"),
        head_timeout: settings.duration("answer_timeout"),
    })
}

fn proxy_config(settings: &Settings) -> Result<ProxyConfig, Failure> {
    let mode = settings.text("record_mode").parse::<Mode>().map_err(|error| usage("record_mode", &error))?;
    let mut config = ProxyConfig {
        address: SocketAddr::new(settings.address().ip(), settings.proxy_port()),
        mode,
        leave_alone: list(settings, "leave_alone").map(str::to_owned).collect(),
        header_bytes: settings.size("max_header_bytes"),
        ..ProxyConfig::default()
    };
    config.timeouts.body = settings.duration("body_timeout");
    config.timeouts.shutdown = settings.duration("shutdown_timeout");
    Ok(config)
}

pub(super) fn list<'s>(settings: &'s Settings, name: &str) -> impl Iterator<Item = &'s str> {
    settings.text(name).split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn usage(name: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::USAGE, format!("{name}: {error}"))
}
