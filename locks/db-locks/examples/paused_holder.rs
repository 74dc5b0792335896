//! A holder that is stopped between its last look at the lock and its write, and what the fencing token does about it.
//!
//! `cargo run -p db-locks --example paused_holder [-- URL]`; the default is a SQLite file in the temporary folder.
//!
//! Two processes: the first takes the lock and is stopped with SIGSTOP. Its lease ends, the second takes the lock and
//! writes. Then the first goes on (SIGCONT), still believing that it holds the lock, and writes. Its token is older, so the
//! register refuses the write.
#![allow(missing_docs, unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use db_locks::{FencedRegister, FencedWrite, LockError, LockResult, Locks};
use rustix::process::{Pid, Signal, kill_process};

const URL: &str = "PAUSED_HOLDER_URL";
const TENANT: &str = "PAUSED_HOLDER_TENANT";
const KEY: &str = "report";
/// Long enough to be stopped within it on a busy machine.
const LEASE: Duration = Duration::from_secs(2);

/// The first holder: this program, started again. Some when it is.
pub async fn play_holder() -> Option<LockResult<()>> {
    let (url, tenant) = (std::env::var(URL).ok()?, std::env::var(TENANT).ok()?);
    Some(hold(&url, &tenant).await)
}

async fn hold(url: &str, tenant: &str) -> LockResult<()> {
    let locks = Locks::connect_as(url, tenant).await?;
    let register = FencedRegister::connect_as(url, tenant).await?;
    let guard = locks.mutex(KEY).lease(LEASE).acquire().await?;
    let token = guard.fencing_token();
    if guard.is_held() {
        // Looked at the lock, and found it held: now for the write. Here the process is stopped.
        say(&format!("holds {token}"))?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(cannot("read"))?;
        match register.write(KEY, token, "by the first").await? {
            FencedWrite::Accepted => say("accepted")?,
            FencedWrite::Stale { seen } => say(&format!("stale {seen}"))?,
        }
    }
    guard.release().await.map(drop)
}

fn say(line: &str) -> LockResult<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(cannot("say something"))
}

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> LockError {
    move |error| LockError::runtime_from(format!("cannot {what}"), error)
}

/// The first holder's process; it goes when this goes.
struct First(Child);

impl Drop for First {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl First {
    fn start(url: &str, tenant: &str) -> LockResult<Self> {
        let program = std::env::current_exe().map_err(cannot("find this program"))?;
        let mut command = Command::new(program);
        command.env(URL, url).env(TENANT, tenant).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().map(Self).map_err(cannot("start the first holder"))
    }

    fn signal(&self, signal: Signal) -> LockResult<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| LockError::runtime("the first holder has no process id"))?;
        kill_process(pid, signal).map_err(|error| cannot("signal the first holder")(error.into()))
    }

    fn hear(out: &mut impl BufRead) -> LockResult<String> {
        let mut line = String::new();
        out.read_line(&mut line).map_err(cannot("hear the first holder"))?;
        Ok(line.trim().to_string())
    }
}

/// What happened.
#[derive(Debug)]
pub struct Story {
    pub first_token: u64,
    pub second_token: u64,
    pub first_holder_heard: String,
    pub value: String,
}

/// Both holders; `url` must be of a database that two processes share.
pub async fn play(url: &str, tenant: &str) -> LockResult<Story> {
    let locks = Locks::connect_as(url, tenant).await?;
    let register = FencedRegister::connect_as(url, tenant).await?;
    let mut first = First::start(url, tenant)?;
    let (input, output) = (first.0.stdin.take(), first.0.stdout.take());
    let (Some(mut input), Some(output)) = (input, output) else {
        return Err(LockError::runtime("the first holder has no pipes"));
    };
    let mut output = BufReader::new(output);
    // Blocking reads: there is nothing else to do here while the first holder has not spoken.
    let holds = First::hear(&mut output)?;
    first.signal(Signal::STOP)?;
    let first_token = holds.trim_start_matches("holds ").parse().unwrap_or(0);
    let guard = locks.mutex(KEY).lease(LEASE).wait(Duration::from_secs(60)).acquire().await?;
    let second_token = guard.fencing_token();
    let written = register.write(KEY, second_token, "by the second").await?;
    if !written.is_accepted() {
        return Err(LockError::runtime(format!("the second holder's write was {written:?}")));
    }
    first.signal(Signal::CONT)?;
    writeln!(input, "go on").map_err(cannot("tell the first holder to go on"))?;
    let first_holder_heard = First::hear(&mut output)?;
    let value = register.read(KEY).await?.map(|held| held.value).unwrap_or_default();
    guard.release().await?;
    Ok(Story { first_token, second_token, first_holder_heard, value })
}

#[allow(dead_code, reason = "a test plays the same story")]
#[tokio::main]
async fn main() -> LockResult<()> {
    if let Some(done) = play_holder().await {
        return done;
    }
    let file = std::env::temp_dir().join(format!("paused-holder-{}.sqlite", std::process::id()));
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite:{}", file.display()));
    let story = play(&url, &format!("example-{}", std::process::id())).await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
    let story = story?;
    println!("The first holder got token {} and was stopped.", story.first_token);
    println!("Its lease ended; the second holder got token {} and wrote.", story.second_token);
    println!("The first went on and wrote: {}. The value is {:?}.", story.first_holder_heard, story.value);
    Ok(())
}
