//! From the list of trials to named tests: what applies to a store is run, what does not is listed as ignored.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::backend::Backend;
use crate::failure::{Failure, Outcome};
use crate::fixture::Fixture;
use crate::trials;

/// A trial's future.
pub(crate) type Run = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a trial needs of the store or of the machine, beyond the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Locks that other processes see.
    Processes,
    /// Clients that die one by one.
    SeparateClients,
    /// A server of its own, that the suite starts, kills and restarts.
    Restart,
    /// A server behind one TCP address, so that a proxy can stand before it.
    Proxy,
    /// Expiry by the database's own clock.
    ServerClock,
    /// Waiters that the database wakes.
    Push,
    /// The lack of a clock in the database.
    NoServerClock,
}

impl Need {
    /// Why `backend` cannot run a trial that needs this; none if it can.
    pub(crate) fn missing(self, backend: &dyn Backend) -> Option<&'static str> {
        let can = backend.capabilities();
        let (has, reason) = match self {
            Self::Processes => (can.shared_between_processes, "its locks are not shared between processes"),
            Self::SeparateClients => (backend.separate_clients(), "one client is the whole database"),
            Self::Restart if backend.server_kind().is_none() => (false, "no server to restart"),
            Self::Restart => (can.survives_restart, "its locks do not survive a restart"),
            Self::Proxy => (backend.single_address(), "no single address that a proxy could stand before"),
            Self::ServerClock => (can.server_clock, "the database has no clock"),
            Self::Push => (can.push, "the database cannot wake waiters"),
            Self::NoServerClock => (!can.server_clock, "the database's own clock decides"),
        };
        (!has).then_some(reason)
    }
}

/// How often a trial is run again on a machine that is too slow to tell, each time with leases twice as long.
const MORE_TRIES: u32 = 6;

/// One trial of the suite.
pub(crate) struct Spec {
    name: String,
    needs: Vec<Need>,
    timeout: Duration,
    run: fn(Fixture) -> Run,
}

impl Spec {
    /// A trial `group::name`, with 120 s to run.
    pub(crate) fn new(module: &str, name: &str, run: fn(Fixture) -> Run) -> Self {
        let group = module.rsplit("::").next().unwrap_or(module);
        Self { name: format!("{group}::{name}"), needs: Vec::new(), timeout: Duration::from_secs(120), run }
    }

    /// Needs this too.
    pub(crate) fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Has this many seconds instead of 120.
    pub(crate) fn seconds(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Why this trial is not run on `backend`; none if it is.
    fn ignored(&self, backend: &dyn Backend) -> Option<String> {
        let said = backend.ignored();
        let said = said.iter().find(|(name, _)| *name == self.name).map(|(_, reason)| *reason);
        said.or_else(|| self.needs.iter().find_map(|need| need.missing(backend))).map(str::to_string)
    }

    fn into_trial(self, backend: Arc<dyn Backend>) -> Trial {
        let name = format!("{}::{}", backend.name(), self.name);
        match self.ignored(backend.as_ref()) {
            Some(reason) => {
                let answer = format!("cannot hold on {}: {reason}", backend.name());
                Trial::test(name, move || Err(Failed::from(answer))).with_kind(reason).with_ignored_flag(true)
            }
            None => Trial::test(name, move || self.execute(backend).map_err(Failed::from)),
        }
    }

    /// Runs the trial, with a new tenant each time, until it can tell.
    async fn until_conclusive(&self, backend: Arc<dyn Backend>) -> Outcome {
        let mut tries = 0;
        loop {
            let slowness = 1 << tries;
            match (self.run)(Fixture::new(Arc::clone(&backend), slowness).await?).await {
                Err(failure) if failure.is_inconclusive() && tries < MORE_TRIES => {
                    eprintln!("{}: inconclusive, run again: {failure}", self.name);
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Runs the trial on a runtime of its own, so that nothing outlives it.
    fn execute(self, backend: Arc<dyn Backend>) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let timeout = self.timeout;
        let outcome = runtime.block_on(async {
            tokio::time::timeout(timeout, self.until_conclusive(backend))
                .await
                .unwrap_or_else(|_| Err(Failure::new(format!("no end after {timeout:?}"))))
        });
        runtime.shutdown_timeout(Duration::from_secs(2));
        outcome
    }
}

/// Lists async functions of this module as trials: `suite![one, two: needs(Restart), three: needs(Processes) seconds(90)]`.
macro_rules! suite {
    ($($name:ident $(: $($setter:ident ( $value:expr ))+)?),+ $(,)?) => {
        pub(crate) fn trials() -> Vec<$crate::harness::Spec> {
            #[allow(unused_imports, reason = "not every module has needs")]
            use $crate::harness::Need::*;
            vec![$(
                $crate::harness::Spec::new(module_path!(), stringify!($name), |f| Box::pin($name(f)))$($(.$setter($value))+)?
            ),+]
        }
    };
}
pub(crate) use suite;

/// Runs the whole suite on each backend, with the command line of any Rust test.
pub(crate) fn run(backends: Vec<Arc<dyn Backend>>) -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let mut all = Vec::new();
    for backend in backends {
        let specs = trials::all();
        all.push(exceptions_are_trials(backend.as_ref(), &specs));
        all.extend(specs.into_iter().map(|spec| spec.into_trial(Arc::clone(&backend))));
    }
    libtest_mimic::run(&arguments, all).exit_code()
}

/// See [`crate::run_one`].
pub(crate) fn run_one(backend: Arc<dyn Backend>, name: &str) -> Result<Result<(), String>, String> {
    let spec = trials::all().into_iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| format!("there is no trial {name}"))?;
    match spec.ignored(backend.as_ref()) {
        Some(reason) => Err(reason),
        None => Ok(spec.execute(backend).map_err(|failure| failure.to_string())),
    }
}

/// An exception that no trial has the name of would be an exception from nothing: a trial was renamed.
fn exceptions_are_trials(backend: &dyn Backend, specs: &[Spec]) -> Trial {
    let unknown: Vec<&str> = backend
        .ignored()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !specs.iter().any(|spec| spec.name == *name))
        .collect();
    Trial::test(format!("{}::suite::exceptions_are_trials", backend.name()), move || match unknown[..] {
        [] => Ok(()),
        _ => Err(Failed::from(format!("there are no trials {unknown:?}"))),
    })
}
