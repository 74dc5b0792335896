//! One command, one file.

pub(crate) mod ca;
pub(crate) mod chaos;
pub(crate) mod completion;
pub(crate) mod import_openapi;
mod recording;
pub(crate) mod render;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod validate;
pub(crate) mod version;

use std::io::Write;

use crate::args::{Cli, Command, Flags};
use crate::exit::{self, Failure};
use crate::say::say;
use crate::settings::{ConfigFile, Settings};

/// The exit code of a command that did its work.
pub(crate) type Outcome = Result<u8, Failure>;

pub(crate) fn run(cli: &Cli) -> Outcome {
    match &cli.command {
        None => serve::run(&settings(&cli.flags)?),
        Some(Command::Ca(args)) => ca::run(args),
        Some(Command::Chaos(args)) => chaos::run_it(args, &settings(&args.flags.as_flags())?),
        Some(Command::Completion(args)) => completion::run(args),
        Some(Command::ImportOpenapi(args)) => import_openapi::run(args, &settings(&args.flags.as_flags())?),
        Some(Command::Render(args)) => render::run(args),
        Some(Command::Settings(args)) => settings::run(args),
        Some(Command::Validate(args)) => validate::run(args),
        Some(Command::Version(args)) => version::run(args),
    }
}

/// The settings of this process: its flags, its environment, and the file that they name.
fn settings(flags: &Flags) -> Result<Settings, Failure> {
    let home = std::env::home_dir();
    let wrong = |error| Failure::of(exit::USAGE, &error);
    let file = ConfigFile::find(flags.config.as_deref(), home.as_deref()).map_err(wrong)?;
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::collect(flags, &variable, &file).map_err(wrong)?;
    for name in &settings.unknown {
        say!("api-mock-service: {}: {name} is not a setting, and is ignored", file.path.display());
    }
    Ok(settings)
}

/// Data for stdout. A reader that has seen enough is no failure.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
