//! The arguments, as the service has always spelt them, and in kebab-case.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling;
use clap::{Parser, Subcommand};

use crate::{commands, exit};

/// Starts mock service
#[derive(Debug, Parser)]
#[command(
    name = "api-mock-service",
    version,
    after_help = exit::HELP,
    max_term_width = 100,
    styles = STYLES,
    override_usage = "api-mock-service [flags]\n       api-mock-service [command]",
    subcommand_help_heading = "Available Commands",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Each may also be an environment variable (HTTP_PORT) or a line of the configuration file (http_port).
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Flags")]
pub(crate) struct Flags {
    /// asset dir to store static assets/fixtures
    #[arg(long = "assetDir", alias = "asset-dir", value_name = "string")]
    pub(crate) asset_dir: Option<String>,
    /// config file (default: api-mock-service.yaml in `.`, `./config` or the home folder)
    #[arg(long, value_name = "string")]
    pub(crate) config: Option<PathBuf>,
    /// data dir to store mock scenarios (default: default_mocks_data)
    #[arg(long = "dataDir", alias = "data-dir", value_name = "string")]
    pub(crate) data_dir: Option<String>,
    /// HTTP port to listen (default: 8080; 0 takes a free one)
    #[arg(long = "httpPort", alias = "http-port", value_name = "int")]
    pub(crate) http_port: Option<String>,
    /// Proxy port to listen (default: 8081; 0 takes a free one)
    #[arg(long = "proxyPort", alias = "proxy-port", value_name = "int")]
    pub(crate) proxy_port: Option<String>,
    /// what the proxy does: record-missing (play back what is there, record the rest; the default), record,
    /// playback, passthrough or spy
    #[arg(long = "record-mode", alias = "recordMode", value_name = "string")]
    pub(crate) record_mode: Option<String>,
    /// real service that answers what no scenario does; faults can be injected on its both sides
    #[arg(long, value_name = "url")]
    pub(crate) upstream: Option<String>,
    /// record from services whose certificates nobody vouches for
    #[arg(long = "insecure-upstream", alias = "insecureUpstream")]
    pub(crate) insecure_upstream: bool,
    /// address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1)
    #[arg(long, value_name = "string")]
    pub(crate) host: Option<String>,
    /// number that makes all random data of a run the same in the next run
    #[arg(long, allow_negative_numbers = true, value_name = "int")]
    pub(crate) seed: Option<String>,
    /// refuse requests that are not as an imported specification wants them, and say all that is wrong
    #[arg(long = "validate-requests", alias = "validateRequests")]
    pub(crate) validate_requests: bool,
    /// speak TLS; without a certificate, one for localhost is made and kept in the data dir
    #[arg(long)]
    pub(crate) tls: bool,
    /// certificate chain as a PEM file, for TLS
    #[arg(long = "tls-cert", alias = "tlsCert", value_name = "file")]
    pub(crate) tls_cert: Option<String>,
    /// its key as a PEM file
    #[arg(long = "tls-key", alias = "tlsKey", value_name = "file")]
    pub(crate) tls_key: Option<String>,
    /// file with the token that the admin API wants; ADMIN_TOKEN may hold the token itself
    #[arg(long = "admin-token-file", alias = "adminTokenFile", value_name = "file")]
    pub(crate) admin_token_file: Option<String>,
    /// the token itself, which everybody on this machine can see: rather use the file or ADMIN_TOKEN
    #[arg(long = "admin-token", alias = "adminToken", value_name = "string")]
    pub(crate) admin_token: Option<String>,
    /// a limit or another setting, as NAME=VALUE; `api-mock-service settings` lists them
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Where scenarios are, for commands that work on them without serving.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct DataFlags {
    /// config file
    #[arg(long, value_name = "string")]
    pub(crate) config: Option<PathBuf>,
    /// data dir of the mock scenarios (default: default_mocks_data)
    #[arg(long = "dataDir", alias = "data-dir", value_name = "string")]
    pub(crate) data_dir: Option<String>,
}

impl DataFlags {
    /// As if the service were started with them.
    pub(crate) fn as_flags(&self) -> Flags {
        Flags { config: self.config.clone(), data_dir: self.data_dir.clone(), ..Flags::default() }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the certificate that clients of the recording proxy are to trust
    Ca(commands::ca::Args),
    /// Executes chaos client: tries scenarios on a real service and checks its answers
    #[command(visible_alias = "producer-contract")]
    Chaos(Box<commands::chaos::Args>),
    /// Generate the autocompletion script for the specified shell
    Completion(commands::completion::Args),
    /// Make scenarios of an API specification (OpenAPI, Swagger), or follow one that changed
    ImportOpenapi(commands::import_openapi::Args),
    /// Show what a scenario answers to a request, without a server
    Render(commands::render::Args),
    /// List all settings: their names, what they mean, and what is in force
    Settings(SettingsArgs),
    /// Check scenario files; says file, line and field of what is wrong
    Validate(commands::validate::Args),
    /// Version will output the current build information
    Version(commands::version::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Parses the command line.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn cli(line: &str) -> Cli {
        parse(line.split(' ').map(OsString::from)).map_err(|e| e.to_string()).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_spelt_both_ways() {
        for line in [
            "api-mock-service --httpPort 1 --proxyPort 2 --dataDir d --assetDir a --config c",
            "api-mock-service --http-port 1 --proxy-port=2 --data-dir d --asset-dir a --config=c",
        ] {
            let flags = cli(line).flags;
            assert_eq!(flags.http_port.as_deref(), Some("1"), "{line}");
            assert_eq!(flags.proxy_port.as_deref(), Some("2"), "{line}");
            assert_eq!(
                (flags.data_dir.as_deref(), flags.asset_dir.as_deref()),
                (Some("d"), Some("a")),
                "{line}"
            );
            assert_eq!(flags.config.as_deref(), Some(std::path::Path::new("c")), "{line}");
        }
    }

    #[test]
    fn without_a_command_it_serves() {
        assert!(cli("api-mock-service").command.is_none());
        assert!(matches!(cli("api-mock-service version -s").command, Some(Command::Version(_))));
    }
}
