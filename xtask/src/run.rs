//! A run: one temporary folder with servers in it, and a watchdog that ends both.
//!
//! The watchdog is this same program in a process group of its own. It waits on a pipe whose other end the run
//! holds; the pipe closes when the run ends, however it ends: normally, by Ctrl-C, by SIGTERM, by `kill -9`.
//! Then the watchdog stops everything that the run started and removes the folder. A normal end takes the same
//! way, so it is tried each time.

use std::collections::hash_map::RandomState;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::process::{self, Process, Signal};
use crate::{say, servers, tools};

/// Set for all that a run starts, so that the watchdog finds it: its value is the run's folder.
const MARKER: &str = "DB_LOCKS_XTASK_RUN";
/// The run that this process began.
static CURRENT: OnceLock<PathBuf> = OnceLock::new();
/// The beginning of the folder's name.
const PREFIX: &str = "db-locks-test-";
const LOCK: &str = "owner.lock";
/// How long programs may take to end after being asked.
const POLITE: Duration = Duration::from_secs(3);
const FORCED: Duration = Duration::from_secs(10);
/// How long the end of a run may take in all.
const END: Duration = Duration::from_secs(30);

/// A living run. Dropping it starts the clean-up; [`Run::end`] also waits for it.
pub(crate) struct Run {
    dir: PathBuf,
    watchdog: Child,
    _lock: File,
}

impl Run {
    /// Makes the folder, puts a watchdog before it, and removes what dead runs left.
    pub(crate) fn begin() -> Result<Self> {
        let temp = env::temp_dir();
        remove_stale(&temp);
        let (dir, lock) = make_folder(&temp)?;
        let program = env::current_exe().context(|| "cannot tell where xtask is".into())?;
        let watchdog = Command::new(&program)
            .arg("watchdog")
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context(|| "cannot start the watchdog".into())?;
        let run = Self { dir, watchdog, _lock: lock };
        if CURRENT.set(run.dir.clone()).is_err() {
            return Err(Failure::new("one process begins one run"));
        }
        for folder in ["tests", "servers", "ports"] {
            DirBuilder::new()
                .mode(0o711)
                .create(run.dir.join(folder))
                .context(|| format!("cannot make a folder in {}", run.dir.display()))?;
        }
        // A copy: builds going on at the same time replace the original.
        fs::copy(&program, run.program()).context(|| "cannot copy xtask".into())?;
        Ok(run)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where tests make their own folders.
    pub(crate) fn tests_dir(&self) -> PathBuf {
        self.dir.join("tests")
    }

    /// The xtask that tests call.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir.join("xtask")
    }

    /// Stops everything and removes the folder; returns when that is done.
    pub(crate) fn end(mut self) -> Result<()> {
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            // A byte before the end says that the run ended by itself.
            let _ = pipe.write_all(b".");
        }
        let deadline = Instant::now() + END;
        loop {
            let ended = self.watchdog.try_wait().context(|| "cannot wait for the watchdog".into())?;
            if let Some(status) = ended {
                return match status.success() {
                    true => Ok(()),
                    false => Err(Failure::new(format!("could not clean up {}", self.dir.display()))),
                };
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(format!("cleaning up {} takes too long", self.dir.display())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The folder of the run that this process began, or else of the one that it was started in.
pub(crate) fn current() -> Option<PathBuf> {
    CURRENT.get().cloned().or_else(|| env::var_os(MARKER).map(PathBuf::from))
}

/// Marks what a program starts as belonging to the current run, so that it ends with it.
pub(crate) fn mark(command: &mut Command) -> &mut Command {
    if let Some(run) = current() {
        command.env(MARKER, run);
    }
    command
}

/// The hidden command `watchdog DIR`.
pub(crate) fn watchdog(args: &[String]) -> Result<u8> {
    let [dir] = args else { return Err(Failure::usage("watchdog DIR")) };
    let dir = Path::new(dir);
    let _lock = lock_shared(dir)?;
    let mut bytes = Vec::new();
    // Whatever ends the reading, the run is over.
    let _ = std::io::stdin().read_to_end(&mut bytes);
    if bytes.is_empty() {
        say::err(&format!("xtask: interrupted; stopping the servers and removing {}", dir.display()));
    }
    clean(dir)?;
    if bytes.is_empty() {
        say::err("xtask: all stopped, nothing left");
    }
    Ok(0)
}

/// A number that differs from run to run. Not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new folder for a run, and the lock that says that the run lives.
fn make_folder(temp: &Path) -> Result<(PathBuf, File)> {
    for _ in 0..10 {
        let dir = temp.join(format!("{PREFIX}{:012x}", random() & 0xffff_ffff_ffff));
        // Others may pass through (servers run under their own accounts), but not look around.
        DirBuilder::new()
            .mode(0o711)
            .create(&dir)
            .context(|| format!("cannot make the folder {}", dir.display()))?;
        // Another run that starts now may take the folder for a dead one before it is locked, and remove it.
        if let Ok(lock) = lock_shared(&dir)
            && dir.join(LOCK).exists()
        {
            return Ok((dir, lock));
        }
    }
    Err(Failure::new(format!("folders in {} vanish as soon as they are made", temp.display())))
}

/// While anybody holds this, the run is not stale.
fn lock_shared(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(|| format!("cannot open {}", path.display()))?;
    file.lock_shared().context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Cleans up after runs that lost their watchdog too: a power cut, an unlucky `kill`.
fn remove_stale(temp: &Path) {
    let Ok(entries) = fs::read_dir(temp) else { return };
    for dir in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let dir = dir.path();
        let ours = fs::symlink_metadata(&dir).is_ok_and(|of| of.is_dir() && of.uid() == tools::user_id());
        let Ok(file) = File::options().append(true).open(dir.join(LOCK)) else { continue };
        if ours && file.try_lock().is_ok() {
            say::err(&format!("xtask: removing what a dead run left in {}", dir.display()));
            if let Err(failure) = clean(&dir) {
                say::err(&format!("xtask: {failure}"));
            }
        }
    }
}

/// Ends all that the run in `dir` started and removes `dir`.
fn clean(dir: &Path) -> Result<()> {
    end_processes(dir);
    servers::forget_killed(dir);
    remove_faketime(dir);
    remove(dir)?;
    tools::remove_unfinished_builds();
    Ok(())
}

fn end_processes(dir: &Path) {
    let find = || {
        let mut found = process::offspring(MARKER, dir.as_os_str(), dir);
        found.extend(servers::recorded(dir));
        found
    };
    for process in find() {
        process::send(last_word(&process), &[process]);
    }
    let patience = Instant::now() + POLITE;
    let give_up = Instant::now() + FORCED;
    loop {
        // Looked up anew each time: what is ending may still start something.
        let left = find();
        if left.is_empty() {
            return;
        }
        if Instant::now() >= patience {
            process::send(Signal::Kill, &left);
        }
        if Instant::now() >= give_up {
            let names: Vec<String> = left.iter().map(|p| format!("{} {}", p.pid, p.name())).collect();
            say::err(&format!("xtask: these processes do not end: {}", names.join(", ")));
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Data is thrown away, so servers need no clean end; PostgreSQL on SIGQUIT still gives back its shared memory.
fn last_word(process: &Process) -> Signal {
    match process.name().as_str() {
        "postgres" => Signal::Quit,
        "mariadbd" | "mysqld" | "redis-server" | "valkey-server" | "dynoxide" => Signal::Kill,
        _ => Signal::Terminate,
    }
}

/// A killed `faketime` leaves its shared memory, and a later process with the same number then cannot start.
fn remove_faketime(dir: &Path) {
    let Ok(begin) = fs::metadata(dir.join(LOCK)).and_then(|of| of.modified()) else { return };
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let pid = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else { continue };
        let of_this_run = entry
            .metadata()
            .is_ok_and(|of| of.uid() == tools::user_id() && of.modified().is_ok_and(|at| at >= begin));
        if of_this_run && Process::of(pid).is_none() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// All files of this name below `dir`; unreadable folders are passed over.
pub(crate) fn files_named(dir: &Path, name: &OsStr) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.file_name() == name => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

fn remove(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + POLITE;
    loop {
        match fs::remove_dir_all(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).context(|| format!("cannot remove {}", dir.display()));
            }
            // Something was still writing, or a test took its own folder's permissions away.
            Err(_) => open_folders(dir),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn open_folders(dir: &Path) {
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}
