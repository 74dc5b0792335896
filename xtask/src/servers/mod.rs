//! Private servers: each in one folder, on free ports of 127.0.0.1, started again with the same data and ports.
//!
//! A folder holds `server.json` (what runs there), `log`, `data`, and `tls` when asked for. What differs between
//! the databases is in one file each, behind [`Engine`].

mod account;
mod dynamodb;
mod mysql;
mod ports;
mod postgres;
mod probe;
mod redis;
mod redis_cluster;
mod state;
mod tls;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use account::Account;
pub(crate) use postgres::url as postgres_url;
pub(crate) use state::State;

use crate::failure::{Context, Failure, Result};
use crate::process::{self, Process, Signal};
use crate::run;
use crate::{say, tools};

/// How often a server that will not start is tried on other ports.
const TRIES: u32 = 4;
/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(30);
/// How long a killed process may need to be gone.
const KILLED: Duration = Duration::from_secs(10);
/// Written when a folder's data is complete; a folder without it is laid anew.
const PREPARED: &str = "prepared";

/// The servers that xtask knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
    Redis,
    RedisCluster,
    Dynamodb,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Postgres, Self::Mysql, Self::Redis, Self::RedisCluster, Self::Dynamodb];

    /// The name on the command line, in `server.json`, and of the folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Dynamodb => "dynamodb",
        }
    }

    /// The variable in which tests look for the address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "DB_LOCKS_TEST_POSTGRES_URL",
            Self::Mysql => "DB_LOCKS_TEST_MYSQL_URL",
            Self::Redis => "DB_LOCKS_TEST_REDIS_URL",
            Self::RedisCluster => "DB_LOCKS_TEST_REDIS_CLUSTER_URL",
            Self::Dynamodb => "DB_LOCKS_TEST_DYNAMODB_URL",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Failure::usage(format!("there is no server kind {name:?}; known: {names}"))
        })
    }

    fn engine(self) -> &'static dyn Engine {
        match self {
            Self::Postgres => &postgres::Postgres,
            Self::Mysql => &mysql::Mysql,
            Self::Redis => &redis::Redis,
            Self::RedisCluster => &redis_cluster::RedisCluster,
            Self::Dynamodb => &dynamodb::Dynamodb,
        }
    }
}

/// What differs between the databases.
trait Engine {
    /// How many free ports it needs.
    fn port_count(&self) -> usize {
        1
    }
    /// The account that it must run as when we are root; None: root is fine.
    fn account(&self) -> Option<&'static str> {
        None
    }
    fn has_tls(&self) -> bool {
        true
    }
    /// Lays the data folder, once.
    fn prepare(&self, _home: &Home) -> Result<()> {
        Ok(())
    }
    /// Removes what a killed server left in its data folder and must not; called when nothing runs there.
    fn forget_killed(&self, _data: &Path) {}
    /// The programs to run in the foreground, each with its working folder.
    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>>;
    /// Asked again and again after the start, until true.
    fn is_ready(&self, ports: &[u16]) -> bool;
    /// How long it may take to be ready, recovery after `kill -9` included.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    /// Whether a start that took too long is worth another try on other ports, from nothing.
    fn retry_when_slow(&self) -> bool {
        false
    }
    fn stop_signal(&self) -> Signal {
        Signal::Terminate
    }
    fn url(&self, ports: &[u16], tls: bool) -> String;
}

/// One program of a server.
struct Program {
    path: PathBuf,
    args: Vec<String>,
    folder: PathBuf,
}

/// The folder of one server.
struct Home {
    dir: PathBuf,
    durable: bool,
    /// The port of the server whose data it follows.
    replica_of: Option<u16>,
    /// A connection pooler beside it.
    pooler: bool,
    tls: Option<tls::Files>,
    account: Option<Account>,
}

impl Home {
    fn open(spec: &Spec) -> Result<Self> {
        let engine = spec.kind.engine();
        let account = match engine.account() {
            Some(name) if tools::user_id() == 0 => Some(Account::named(name)?),
            _ => None,
        };
        let mut home = Self {
            dir: spec.dir.clone(),
            durable: spec.durable,
            replica_of: None,
            pooler: spec.pooler,
            tls: None,
            account,
        };
        home.replica_of = spec.replica_of.as_deref().map(|dir| primary(spec.kind, dir)).transpose()?;
        home.let_pass()?;
        if spec.tls {
            if !engine.has_tls() {
                return Err(Failure::usage(format!("{} has no TLS here", spec.kind.name())));
            }
            home.tls = Some(tls::files(&home)?);
        }
        Ok(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Makes a folder that the server's account owns.
    fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .context(|| format!("cannot make the folder {}", path.display()))?;
        self.give(&path)?;
        Ok(path)
    }

    /// Hands a file or folder to the server's account.
    fn give(&self, path: &Path) -> Result<()> {
        let Some(account) = &self.account else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(account.user_id), Some(account.group_id))
            .context(|| format!("cannot give {} to {}", path.display(), account.name))
    }

    /// Lets the server's account pass through the folders above its data: tests make them private.
    fn let_pass(&self) -> Result<()> {
        let Some(account) = &self.account else { return Ok(()) };
        let temp = env::temp_dir();
        let temp = fs::canonicalize(&temp).unwrap_or(temp);
        for dir in self.dir.ancestors() {
            let mode =
                fs::metadata(dir).context(|| format!("cannot see {}", dir.display()))?.permissions().mode();
            if mode & 0o001 != 0 {
                continue;
            }
            if dir != self.dir && !(dir.starts_with(&temp) && dir != temp) {
                return Err(Failure::new(format!(
                    "the account {} cannot reach {}: {} lets nobody pass; use a folder below {}",
                    account.name,
                    self.dir.display(),
                    dir.display(),
                    temp.display()
                )));
            }
            fs::set_permissions(dir, Permissions::from_mode(mode & 0o7777 | 0o011))
                .context(|| format!("cannot open {} to {}", dir.display(), account.name))?;
        }
        Ok(())
    }

    /// A program with a small, known environment, under the server's account.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        let path = env::var("PATH").unwrap_or_default();
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
        command.env("HOME", &self.dir).env("LANG", "C").env("TZ", "UTC");
        run::mark(&mut command);
        if let Some(account) = &self.account {
            command.uid(account.user_id).gid(account.group_id);
        }
        command
    }

    /// Runs a preparing program to its end; its output becomes the error.
    fn call(&self, program: &Path, args: &[String], input: Stdio) -> Result<()> {
        let name = program.display();
        let output = self
            .command(program, &self.dir)
            .args(args)
            .stdin(input)
            .output()
            .context(|| format!("cannot run {name}"))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(Failure::new(format!("{name}: {}\n{}", output.status, tail(&String::from_utf8_lossy(&text), 30))))
    }

    fn log(&self) -> PathBuf {
        self.path("log")
    }

    fn log_tail(&self) -> String {
        tail(&String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()), 12)
    }
}

/// The port of the server in this folder, which another one of its kind shall follow.
fn primary(kind: Kind, dir: &Path) -> Result<u16> {
    if kind != Kind::Postgres {
        return Err(Failure::usage(format!("--replica-of is for postgres, not for {}", kind.name())));
    }
    let state = State::read(dir)?.filter(|state| state.kind == kind.name());
    let state = state.ok_or_else(|| Failure::usage(format!("{} holds no such server", dir.display())))?;
    state.ports.first().copied().ok_or_else(|| Failure::new("a server without a port"))
}

/// Which server to start where.
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
    pub(crate) tls: bool,
    pub(crate) durable: bool,
    pub(crate) replica_of: Option<PathBuf>,
    /// With a connection pooler on the second port, where the kind has one.
    pub(crate) pooler: bool,
}

/// Why a start did not work.
enum NotStarted {
    /// The program ended by itself: perhaps another program was faster on the port.
    Ended(Failure),
    Slow(Failure),
    Broken(Failure),
}

impl From<Failure> for NotStarted {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// Starts the server of a folder, with the data and ports that it had before, and waits until it answers.
pub(crate) fn start(spec: &Spec) -> Result<State> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&spec.dir)
        .context(|| format!("cannot make the folder {}", spec.dir.display()))?;
    let dir = fs::canonicalize(&spec.dir).context(|| format!("cannot see {}", spec.dir.display()))?;
    let spec = Spec { dir, replica_of: spec.replica_of.clone(), ..*spec };
    let _lock = lock(&spec.dir)?;
    let before = State::read(&spec.dir)?;
    if let Some(state) = before {
        if state.kind != spec.kind.name() || state.tls != spec.tls || state.durable != spec.durable {
            return Err(Failure::usage(format!(
                "{} holds another server: {}",
                spec.dir.display(),
                state.line()
            )));
        }
        if answers(&state, spec.kind.engine()) {
            return Ok(state);
        }
        let home = Home::open(&spec)?;
        return launch(&spec, &home, state.ports, &state.processes).map_err(NotStarted::into_failure);
    }
    start_first(&spec)
}

/// Whether a server that was started before still runs. One that was killed a moment ago may still look alive.
fn answers(state: &State, engine: &dyn Engine) -> bool {
    let deadline = Instant::now() + Duration::from_secs(2);
    while state.is_alive() && Instant::now() < deadline {
        if engine.is_ready(&state.ports) {
            return state.is_alive();
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The first start in a folder: chooses the ports, tries others when they turn out to be taken.
fn start_first(spec: &Spec) -> Result<State> {
    let engine = spec.kind.engine();
    let home = Home::open(spec)?;
    for attempt in 1.. {
        prepare(engine, &home)?;
        let ports = ports::choose(engine.port_count())?;
        let _ = fs::remove_file(home.log());
        let failure = match launch(spec, &home, ports, &[]) {
            Ok(state) => return Ok(state),
            Err(NotStarted::Ended(failure)) if attempt < TRIES => failure,
            Err(NotStarted::Slow(failure)) if attempt < TRIES && engine.retry_when_slow() => failure,
            Err(not_started) => return Err(not_started.into_failure()),
        };
        let text = failure.to_string();
        let (first, last) = (text.lines().next(), text.lines().next_back());
        let words = [first, last].map(|line| line.unwrap_or_default()).join(" ... ");
        say::err(&format!("xtask: once more on other ports: {words}"));
        if engine.retry_when_slow() {
            // Half-made agreements between nodes name the old ports.
            let _ = fs::remove_file(home.path(PREPARED));
        }
    }
    Err(Failure::new("no try was left"))
}

fn prepare(engine: &dyn Engine, home: &Home) -> Result<()> {
    if home.path(PREPARED).exists() {
        return Ok(());
    }
    if home.data().exists() {
        fs::remove_dir_all(home.data()).context(|| format!("cannot remove {}", home.data().display()))?;
    }
    home.make_folder("data")?;
    engine.prepare(home)?;
    fs::write(home.path(PREPARED), "").context(|| format!("cannot write to {}", home.dir.display()))
}

/// Starts the programs. Of those before, the ones that still live are left as they are.
fn launch(
    spec: &Spec,
    home: &Home,
    ports: Vec<u16>,
    before: &[Process],
) -> std::result::Result<State, NotStarted> {
    let engine = spec.kind.engine();
    let mut children = Vec::new();
    let mut processes = Vec::new();
    for (at, program) in engine.programs(home, &ports)?.into_iter().enumerate() {
        if let Some(living) = before.get(at).filter(|process| process.is_alive()) {
            processes.push(*living);
            continue;
        }
        let started = end_all_in(&program.folder).and_then(|()| {
            engine.forget_killed(&program.folder);
            spawn(home, &program)
        });
        match started {
            Ok(child) => {
                processes.extend(Process::of(child.id()));
                children.push(child);
            }
            Err(failure) => {
                abandon(&mut children);
                return Err(failure.into());
            }
        }
    }
    let state = State {
        kind: spec.kind.name().into(),
        url: engine.url(&ports, spec.tls),
        tls: spec.tls,
        durable: spec.durable,
        ca: home.tls.as_ref().map(|files| files.authority.clone()),
        processes,
        ports,
    };
    match wait_ready(spec, home, &state.ports, &mut children).and_then(|()| Ok(state.write(&home.dir)?)) {
        Ok(()) => Ok(state),
        Err(not_started) => {
            abandon(&mut children);
            Err(not_started)
        }
    }
}

fn spawn(home: &Home, program: &Program) -> Result<Child> {
    let open = || File::options().create(true).append(true).open(home.log());
    let log = open().context(|| format!("cannot open {}", home.log().display()))?;
    let log_too = log.try_clone().context(|| "cannot share the log".into())?;
    home.command(&program.path, &program.folder)
        .args(&program.args)
        .stdout(log)
        .stderr(log_too)
        // Ctrl-C is for us; the server is stopped in good order.
        .process_group(0)
        .spawn()
        .context(|| format!("cannot run {}", program.path.display()))
}

fn wait_ready(
    spec: &Spec,
    home: &Home,
    ports: &[u16],
    children: &mut [Child],
) -> std::result::Result<(), NotStarted> {
    let engine = spec.kind.engine();
    let name = spec.kind.name();
    let deadline = Instant::now() + engine.patience();
    loop {
        for child in children.iter_mut() {
            let ended = child.try_wait().context(|| format!("cannot wait for {name}"))?;
            if let Some(status) = ended {
                let text = format!("{name} ended at its start ({status}); its log:\n{}", home.log_tail());
                return Err(NotStarted::Ended(Failure::new(text)));
            }
        }
        // Only now: an answer of somebody else on a taken port is not ours.
        if engine.is_ready(ports) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let time = say::seconds(engine.patience());
            let text = format!("{name} did not answer within {time}; its log:\n{}", home.log_tail());
            return Err(NotStarted::Slow(Failure::new(text)));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn abandon(children: &mut [Child]) {
    for child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl NotStarted {
    fn into_failure(self) -> Failure {
        match self {
            Self::Ended(failure) | Self::Slow(failure) | Self::Broken(failure) => failure,
        }
    }
}

/// `kill -9` for every process of the folder's server.
pub(crate) fn kill(dir: &Path) -> Result<()> {
    let (dir, state) = existing(dir)?;
    let _lock = lock(&dir)?;
    // The postmaster first: it would start a recovery when it sees its children die.
    process::send(Signal::Kill, &state.processes);
    end_all_in(&dir)?;
    // A process whose threads still end has lost its folder already, but not its port.
    if !process::wait_gone(&state.processes, KILLED) {
        return Err(Failure::new(format!("the server in {} does not die", dir.display())));
    }
    // Now, because the folder may be removed before anybody looks again.
    forget_killed(&dir);
    Ok(())
}

/// `kill -9` for all servers that work in a folder, until none is left.
fn end_all_in(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + KILLED;
    loop {
        let left = process::servers_in(dir);
        if left.is_empty() {
            return Ok(());
        }
        process::send(Signal::Kill, &left);
        if Instant::now() >= deadline {
            return Err(Failure::new(format!("the server in {} does not die", dir.display())));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Stops the folder's server cleanly.
pub(crate) fn stop(dir: &Path) -> Result<()> {
    let (dir, state) = existing(dir)?;
    let _lock = lock(&dir)?;
    process::send(Kind::parse(&state.kind)?.engine().stop_signal(), &state.processes);
    if process::wait_gone(&state.processes, STOP) {
        return Ok(());
    }
    Err(Failure::new(format!("the server in {} did not stop within {}", dir.display(), say::seconds(STOP))))
}

fn existing(dir: &Path) -> Result<(PathBuf, State)> {
    let dir = fs::canonicalize(dir).context(|| format!("cannot see {}", dir.display()))?;
    let state = State::read(&dir)?
        .ok_or_else(|| Failure::new(format!("no server was started in {}", dir.display())))?;
    Ok((dir, state))
}

/// One command at a time for a folder.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("server.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(|| format!("cannot open {}", path.display()))?;
    file.lock().context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The living servers that files below `dir` speak of.
pub(crate) fn recorded(dir: &Path) -> Vec<Process> {
    run::files_named(dir, OsStr::new(state::FILE))
        .iter()
        .filter_map(|path| State::read(path.parent()?).ok()?)
        .flat_map(|state| state.processes)
        .filter(Process::is_alive)
        .collect()
}

/// Removes what killed servers leave outside of `dir`, before it is removed.
pub(crate) fn forget_killed(dir: &Path) {
    for trace in run::files_named(dir, OsStr::new(postgres::TRACE)) {
        trace.parent().into_iter().for_each(postgres::forget_killed);
    }
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
