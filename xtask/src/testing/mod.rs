//! `cargo xtask test` and `cargo xtask servers up`.

mod args;
mod count;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use args::Selection;
use count::Count;

use crate::failure::{Context, Failure, Result};
use crate::run::Run;
use crate::say::{self, Steps};
use crate::servers::{self, Kind, Spec, State};
use crate::{tools, workspace};

/// Where tests find the transaction pooler in front of PostgreSQL.
const POOLER: &str = "DB_LOCKS_TEST_POSTGRES_POOLER_URL";
/// Where tests make their folders.
const TEMP: &str = "DB_LOCKS_TEST_TMP";
/// The xtask that tests call for servers of their own.
const XTASK: &str = "DB_LOCKS_XTASK";
/// The command line under test.
const BINARY: &str = "DB_LOCKS_BIN";
/// The other product's program: tests of db-locks put it between them and DynamoDB.
const MOCK: &str = "API_MOCK_BIN";
/// Packages whose tests run programs of other packages, and how these are built.
const RUNS_OTHERS: [(&str, [&str; 4]); 1] =
    [("db-locks-cli", ["-p", "api-mock-cli", "--bin", "api-mock-service"])];
/// What nextest says when no test was run.
const NO_TESTS: u8 = 4;
/// The SDK wants credentials, also for an engine that asks for none; and it must not look for a cloud around us.
const AWS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// The variables that tell tests about their surroundings.
type Variables = Vec<(&'static str, OsString)>;

/// `cargo xtask test [nextest arguments]`: the exit code of the tests.
pub(crate) fn command(arguments: &[String]) -> Result<u8> {
    let mut steps = Steps::default();
    let root = workspace::root()?;
    let selection = args::split(arguments);
    // What is installed while the watchdog looks on is ended with the run.
    let run = Run::begin()?;
    let mut count = Count::default();
    let outcome = test(&mut steps, &root, &selection, &run, &mut count);
    let cleaned = steps.run("stop", || run.end());
    say::err(&steps.summary());
    let code = outcome?;
    cleaned?;
    if count.all() == 0 && code == 0 {
        say::err("xtask: no test was run");
        return Ok(NO_TESTS);
    }
    say::out(&count.line());
    Ok(code)
}

/// `cargo xtask servers up`: stays until Ctrl-C.
pub(crate) fn servers_up(kinds: &[Kind]) -> Result<u8> {
    let root = workspace::root()?;
    let run = Run::begin()?;
    let up = || -> Result<()> {
        tools::ensure(kinds, false)?;
        let servers = start_all(kinds, &run)?;
        for (name, value) in variables(&root, &run, &servers) {
            say::out(&format!("export {name}={}", quoted(&value.to_string_lossy())));
        }
        say::err("xtask: servers are up; Ctrl-C stops them and removes their data");
        loop {
            thread::sleep(Duration::from_millis(500));
            all_alive(&servers)?;
        }
    };
    let outcome = up();
    run.end()?;
    outcome.map(|()| 0)
}

fn test(steps: &mut Steps, root: &Path, selection: &Selection, run: &Run, count: &mut Count) -> Result<u8> {
    let given = |kind: &Kind| env::var_os(kind.variable()).is_some_and(|value| !value.is_empty());
    let (theirs, ours): (Vec<Kind>, Vec<Kind>) = Kind::ALL.into_iter().partition(given);
    for kind in &theirs {
        say::err(&format!("xtask: {} as given in {}", kind.name(), kind.variable()));
    }
    steps.run("tools", || tools::ensure(&ours, true))?;
    let nextest = tools::nextest()?;

    let built = steps.run("build", || build(root, selection, run, &nextest))?;
    if !built.success() {
        return Ok(code(built));
    }
    let servers = steps.run("servers", || start_all(&ours, run))?;
    let mut variables = variables(root, run, &servers);
    // Whatever a test leaves in a temporary folder, killed or not, goes with the run.
    variables.push(("TMPDIR", run.tests_dir().into()));

    let tests = steps.run("tests", || {
        let report = run.dir().join("junit.xml");
        let status = nextest_command(selection, run, &nextest, &variables)?
            .status()
            .context(|| "cannot run cargo-nextest".into())?;
        count.add_report(&fs::read_to_string(report).unwrap_or_default());
        Ok::<_, Failure>(status)
    })?;
    all_alive(&servers)?;
    let Some(flags) = selection.doctests(&workspace_libraries(root)?) else { return Ok(code(tests)) };
    let doctests = steps.run("doctests", || doctests(&flags, &variables, count))?;
    all_alive(&servers)?;
    // A filter of tests that leaves none is an error only when there are no doctests either.
    Ok(match (code(tests), code(doctests)) {
        (0, second) => second,
        (NO_TESTS, 0) if count.all() > 0 && selection.is_partial() => 0,
        (first, _) => first,
    })
}

/// Builds first, so that no server idles through the minutes of a first build.
fn build(root: &Path, selection: &Selection, run: &Run, nextest: &Path) -> Result<ExitStatus> {
    let status = nextest_command(selection, run, nextest, &Vec::new())?
        .arg("--no-run")
        .status()
        .context(|| "cannot run cargo-nextest".into())?;
    if !status.success() {
        return Ok(status);
    }
    for (package, arguments) in RUNS_OTHERS.iter().filter(|(package, _)| selection.names(package)) {
        let built = workspace::cargo().args(["build", "--locked"]).args(arguments).current_dir(root).status();
        let built = built.context(|| format!("cannot build what the tests of {package} run"))?;
        if !built.success() {
            return Ok(built);
        }
    }
    if selection.is_partial() {
        return Ok(status);
    }
    // With the features of the whole workspace: what the tests have built is not built again.
    workspace::cargo()
        .args(["build", "--workspace", "--locked", "--bin", "db-locks"])
        .current_dir(root)
        .status()
        .context(|| "cannot run cargo".into())
}

fn nextest_command(
    selection: &Selection,
    run: &Run,
    nextest: &Path,
    variables: &Variables,
) -> Result<Command> {
    // A report that we can count, whatever profile is chosen.
    let config = run.dir().join("nextest.toml");
    let text = format!("[profile.default.junit]\npath = {:?}\n", run.dir().join("junit.xml"));
    fs::write(&config, text).context(|| format!("cannot write {}", config.display()))?;
    let mut command = workspace::clean(nextest);
    command
        .args(["nextest", "run", "--locked"])
        .arg("--tool-config-file")
        .arg(format!("xtask:{}", config.display()))
        .args(selection.nextest())
        .envs(variables.iter().map(|(name, value)| (name, value)));
    Ok(command)
}

fn doctests(flags: &[String], variables: &Variables, count: &mut Count) -> Result<ExitStatus> {
    let colour = if std::io::stdout().is_terminal() { "always" } else { "auto" };
    let mut child = workspace::cargo()
        .args(["test", "--doc", "--locked"])
        .args(flags)
        .env("CARGO_TERM_COLOR", env::var_os("CARGO_TERM_COLOR").unwrap_or_else(|| colour.into()))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "cannot run cargo".into())?;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.context(|| "cannot read what cargo says".into())?;
        count.add_line(&line);
        say::out(&line);
    }
    child.wait().context(|| "cannot wait for cargo".into())
}

/// Starts the servers at the same time.
fn start_all(kinds: &[Kind], run: &Run) -> Result<Vec<(Kind, State)>> {
    let start = |kind: Kind| {
        let begin = Instant::now();
        let dir = run.dir().join("servers").join(kind.name());
        let spec = Spec { kind, dir, tls: false, durable: false, replica_of: None, pooler: true };
        let state = servers::start(&spec)?;
        say::err(&format!("xtask: {} is up after {}", kind.name(), say::seconds(begin.elapsed())));
        Ok((kind, state))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = kinds.iter().map(|kind| scope.spawn(move || start(*kind))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::new("starting a server panicked"))))
            .collect()
    })
}

fn all_alive(servers: &[(Kind, State)]) -> Result<()> {
    match servers.iter().find(|(_, state)| !state.is_alive()) {
        Some((kind, _)) => Err(Failure::new(format!("the shared {} server died meanwhile", kind.name()))),
        None => Ok(()),
    }
}

fn variables(root: &Path, run: &Run, servers: &[(Kind, State)]) -> Variables {
    let mut all: Variables =
        servers.iter().map(|(kind, state)| (kind.variable(), state.url.clone().into())).collect();
    let pooled = servers.iter().find(|(kind, _)| *kind == Kind::Postgres);
    if let Some(port) = pooled.and_then(|(_, state)| state.ports.get(1)) {
        all.push((POOLER, servers::postgres_url(*port).into()));
    }
    all.push((TEMP, run.tests_dir().into()));
    all.push((XTASK, run.program().into()));
    all.push((BINARY, workspace::target(root).join("debug/db-locks").into()));
    // Built with the tests of its own package, or for those that run it.
    all.push((MOCK, workspace::target(root).join("debug/api-mock-service").into()));
    if servers.iter().any(|(kind, _)| *kind == Kind::Dynamodb) {
        all.extend(AWS.map(|(name, value)| (name, value.into())));
    }
    all
}

/// The names of the workspace's packages that have a library: cargo refuses doctests of the others.
fn workspace_libraries(root: &Path) -> Result<Vec<String>> {
    let members = crate::tidy::members(root)?;
    Ok(members
        .into_iter()
        .filter(|member| member.dir.join("src/lib.rs").is_file())
        .map(|member| member.name)
        .collect())
}

/// The exit code of a program; a signal counts as in a shell.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// For a shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
