//! The arguments, as the seeds print them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::styling;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::exit;

/// Mutexes and Semaphores based Distributed Locks with databases.
#[derive(Debug, Parser)]
#[command(name = "db-locks", version, after_help = exit::HELP, max_term_width = 100, styles = STYLES)]
pub(crate) struct Cli {
    /// Database provider
    #[arg(value_enum, default_value_t = Provider::Rdb)]
    pub(crate) provider: Provider,

    /// tentant-id for the database
    #[arg(short, long, default_value = "local-host-name")]
    pub(crate) tenant: String,

    /// fair semaphore lock
    #[arg(short, long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) fair_semaphore: bool,

    /// json output of result from action
    #[arg(short, long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) json_output: bool,

    /// Sets a custom config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Which kind of database; which SQL database it is, DATABASE_URL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// SQLite, PostgreSQL, MySQL or MariaDB, by the scheme of DATABASE_URL (default: the SQLite file db-locks.sqlite)
    Rdb,
    /// AWS DynamoDB, configured by the AWS environment variables
    Ddb,
    /// Redis or Valkey at REDIS_URL
    Redis,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Acquire a mutex, or one of the locks of a semaphore; waits for it first come, first served
    Acquire(commands::acquire::Args),
    /// Renew the lease of a lock that you hold
    Heartbeat(commands::heartbeat::Args),
    /// Release a lock that you hold
    Release(commands::release::Args),
    /// Show a mutex, and who holds it
    GetMutex(commands::get_mutex::Args),
    /// Delete a mutex that nobody holds
    DeleteMutex(commands::delete_mutex::Args),
    /// Create a mutex
    CreateMutex(commands::create_mutex::Args),
    /// Create a semaphore, or change its size
    CreateSemaphore(commands::create_semaphore::Args),
    /// Show a semaphore, and how many hold it
    GetSemaphore(commands::get_semaphore::Args),
    /// Delete a semaphore that nobody holds
    DeleteSemaphore(commands::delete_semaphore::Args),
    /// List the locks of a semaphore, held and free
    GetSemaphoreMutexes(commands::get_semaphore_mutexes::Args),
    /// Hold a lock while a program runs
    Run(commands::run::Args),
    /// Create or update the tables of the database
    Migrate(commands::migrate::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Print the manual page
    Man(commands::man::Args),
}

/// Which options were given, where the configuration file may say otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen {
    pub(crate) tenant: bool,
    pub(crate) fair_semaphore: bool,
}

/// Parses the command line.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Cli, Chosen), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(give_switches_values(args))?;
    let chosen = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    let chosen = Chosen { tenant: chosen("tenant"), fair_semaphore: chosen("fair_semaphore") };
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, chosen))
}

/// `-f` and `-j` take a value and also stand alone: `-j redis acquire …` means `-j true redis acquire …`. The parser
/// cannot know that `redis` is no value, so the value is put in here. Only what stands before the sub-command is touched.
fn give_switches_values(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut given = Vec::new();
    let mut args = args.into_iter().peekable();
    let commands: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
    given.extend(args.next());
    while let Some(arg) = args.next() {
        if commands.iter().any(|name| arg == OsStr::new(name)) {
            given.push(arg);
            break;
        }
        let switch = ["-f", "-j", "--fair-semaphore", "--json-output"].iter().any(|s| arg == OsStr::new(s));
        let takes_next = ["-t", "--tenant", "-c", "--config"].iter().any(|s| arg == OsStr::new(s));
        given.push(arg);
        if switch && !args.peek().is_some_and(|next| next == "true" || next == "false") {
            given.push("true".into());
        } else if takes_next {
            given.extend(args.next());
        }
    }
    given.extend(args);
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cli(line: &str) -> Cli {
        parse(line.split(' ').map(OsString::from)).map_err(|e| e.to_string()).unwrap().0
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn switches_take_a_value_and_stand_alone() {
        for (line, fair, json) in [
            ("db-locks -f true -j true redis acquire --key one", true, true),
            ("db-locks --fair-semaphore true --json-output true redis acquire --key one", true, true),
            ("db-locks --fair-semaphore=true redis acquire --key one", true, false),
            ("db-locks -f -j redis acquire --key one", true, true),
            ("db-locks -f redis acquire --key one", true, false),
            ("db-locks redis -j acquire --key one", false, true),
            ("db-locks -j false redis acquire --key one", false, false),
        ] {
            let cli = cli(line);
            assert_eq!((cli.fair_semaphore, cli.json_output), (fair, json), "{line}");
            assert_eq!(cli.provider, Provider::Redis, "{line}");
        }
    }

    #[test]
    fn a_key_named_like_a_switch_is_left_alone() {
        let Command::Acquire(args) = cli("db-locks acquire --key=-j").command else { unreachable!() };
        assert_eq!(args.key, "-j");
    }

    #[test]
    fn the_provider_may_be_left_out() {
        assert_eq!(cli("db-locks acquire --key one").provider, Provider::Rdb);
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_a_usage_error() {
        use std::os::unix::ffi::OsStringExt;
        let mut args: Vec<OsString> = ["db-locks", "acquire", "--key"].iter().map(OsString::from).collect();
        args.push(OsString::from_vec(vec![0xff, 0xfe]));
        assert_eq!(parse(args).unwrap_err().exit_code(), 2);
    }
}
