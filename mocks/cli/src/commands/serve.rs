//! The service itself: what runs without a command.

use std::io::Write as _;
use std::sync::Arc;

use api_mock_engine::{Engine, EngineOptions};
use api_mock_server::{Ended, Identity, Server, ServerConfig, StartError};
use api_mock_store::{LoadProblem, StoreOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, recording};
use crate::exit::{self, Failure};
use crate::say::say;
use crate::settings::{Settings, upstream};
use crate::zone;

pub(crate) fn run(settings: &Settings) -> Outcome {
    let config = config(settings)?;
    let scheme = if config.identity.is_some() { "https" } else { "http" };
    // Not `eprintln`, which panics when nobody reads: the service goes on.
    let told =
        |problem: &LoadProblem| drop(writeln!(std::io::stderr(), "api-mock-service: skipped {problem}"));
    let store = store_options(settings).reporting(told);
    let (engine, problems) =
        Engine::open(store, engine_options(settings)).map_err(|error| Failure::of(exit::FAILED, &error))?;
    problems.iter().for_each(told);
    let scenarios = engine.store().snapshot().scenarios().len();
    let engine = Arc::new(engine);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let is_guarded = config.admin_token.is_some();
        let server = Server::bind(config, engine).await.map_err(cannot_start)?;
        let address = server.address();
        say!(
            "api-mock-service {} listens on {scheme}://{address} with {scenarios} scenarios of {}",
            env!("CARGO_PKG_VERSION"),
            settings.text("data_dir"),
        );
        if let Some(proxy) = server.proxy_address() {
            say!(
                "  recording proxy on http://{proxy} ({}); for HTTPS, clients trust what `api-mock-service ca` prints",
                settings.text("record_mode")
            );
        }
        if !settings.text("upstream").is_empty() {
            say!("  what no scenario answers goes to {}", settings.text("upstream"));
        }
        if !address.ip().is_loopback() && !is_guarded {
            say!(
                "  others may reach this address, and the admin API asks for no token: see --admin-token-file"
            );
        }
        let (first, asked) = tokio::sync::oneshot::channel::<()>();
        let mut served = std::pin::pin!(server.serve(async move {
            let _ = asked.await;
        }));
        tokio::select! {
            ended = &mut served => return Ok(code(ended)),
            _ = signals.next() => {}
        }
        say!("api-mock-service: ending; what runs has {} to end", settings.text("shutdown_timeout"));
        let _ = first.send(());
        tokio::select! {
            ended = &mut served => Ok(code(ended)),
            number = signals.next() => Ok(128 + number),
        }
    });
    // A file system that hangs must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

fn code(ended: Ended) -> u8 {
    match ended {
        Ended::Clean => exit::OK,
        Ended::Cut { connections } => {
            say!("api-mock-service: cut {connections} connections off");
            exit::CUT_OFF
        }
    }
}

fn cannot_start(error: StartError) -> Failure {
    Failure::of(exit::CANNOT_LISTEN, &error)
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Signals { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

fn config(settings: &Settings) -> Result<ServerConfig, Failure> {
    let token = settings.admin_token().map_err(|error| Failure::of(exit::USAGE, &error))?;
    let mut config = ServerConfig {
        address: settings.address(),
        identity: identity(settings).map_err(cannot_start)?,
        admin_token: token.map(Into::into),
        asset_dir: settings.path("asset_dir").map(Into::into),
        upstream: upstream(settings.text("upstream")),
        validate_requests: settings.is_on("validate_requests"),
        credentials: recording::list(settings, "credentials").collect(),
        chaos_private: settings.is_on("chaos_private"),
        recording: Some(recording::config(settings)?),
        ..ServerConfig::default()
    };
    for origin in settings.text("admin_origins").split(',').map(str::trim).filter(|origin| !origin.is_empty())
    {
        let wrong = |_| Failure::new(exit::USAGE, format!("admin_origins: {origin:?} is no origin"));
        config.admin_origins.push(origin.parse().map_err(wrong)?);
    }
    let number = |name: &str| usize::try_from(settings.number(name)).unwrap_or(usize::MAX);
    config.limits.connections = number("max_connections");
    config.limits.headers = number("max_headers");
    config.limits.header_bytes = settings.size("max_header_bytes");
    config.limits.body_bytes = settings.size("max_body_bytes");
    config.limits.upload_bytes = settings.size("max_upload_bytes");
    config.timeouts.idle = settings.duration("idle_timeout");
    config.timeouts.body = settings.duration("body_timeout");
    config.timeouts.longest_wait = settings.duration("max_wait");
    config.timeouts.shutdown = settings.duration("shutdown_timeout");
    Ok(config)
}

fn identity(settings: &Settings) -> Result<Option<Identity>, StartError> {
    if let (Some(certificate), Some(key)) = (settings.path("tls_cert"), settings.path("tls_key")) {
        return Identity::from_files(certificate, key).map(Some);
    }
    if !settings.is_on("tls") {
        return Ok(None);
    }
    let folder = std::path::Path::new(settings.text("data_dir")).join(".tls");
    let host = settings.address().ip().to_string();
    let identity = Identity::kept_in(&folder, ["localhost", "127.0.0.1", "::1", &host])?;
    say!("api-mock-service: clients may trust {}", folder.join("cert.pem").display());
    Ok(Some(identity))
}

pub(super) fn store_options(settings: &Settings) -> StoreOptions {
    let mut options = StoreOptions::in_folder(settings.text("data_dir"));
    let upload = settings.size("max_upload_bytes") as u64;
    options.max_scenario_bytes = upload;
    let recorded = settings.size("max_record_bytes") as u64;
    options.max_fixture_bytes = options.max_fixture_bytes.max(upload).max(recorded);
    options
}

/// How scenarios are rendered, here and by `render`.
pub(super) fn engine_options(settings: &Settings) -> EngineOptions {
    let number = |name: &str| usize::try_from(settings.number(name)).unwrap_or(usize::MAX);
    let mut options = EngineOptions::default();
    options.seed = settings.seed();
    options.zone = zone::here();
    options.max_wait = settings.duration("max_wait");
    options.template = options
        .template
        .steps(settings.number("max_template_steps"))
        .depth(number("max_template_depth"))
        .output_bytes(settings.size("max_answer_bytes"));
    options.functions.list_items = number("max_list_items");
    options.functions.text_bytes = settings.size("max_text_bytes");
    options.functions.pattern.max_bytes = settings.size("max_pattern_bytes");
    options.functions.pattern.extra_rounds =
        u32::try_from(settings.number("max_pattern_repeats")).unwrap_or(u32::MAX);
    options
}
