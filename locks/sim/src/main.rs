//! `db-locks-sim --schedules N --seed S`: runs the schedules of the seeds S to S+N-1 on all cores.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use db_locks_sim::{Defect, Outcome, run};

const USAGE: &str = "db-locks-sim [--schedules N] [--seed S] [--threads T] [--defect NAME] [--trace]

Runs N schedules (1000) of the seeds S (1) and up, on T threads (one a core), and shows what they break.
--defect plants a defect, to see that it is noticed; --trace shows all that happens in the schedule of seed S.
Exit code: 0 when all invariants held, 1 when one was broken, 2 for a bad command line.";

struct Arguments {
    schedules: u64,
    seed: u64,
    threads: u64,
    defect: Defect,
    trace: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut arguments =
        Arguments { schedules: 1_000, seed: 1, threads: cores, defect: Defect::Nothing, trace: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number =
            |text: String| text.replace('_', "").parse().map_err(|_| format!("{text:?} is no number"));
        match word.as_str() {
            "--schedules" => arguments.schedules = number(value()?)?,
            "--seed" => arguments.seed = number(value()?)?,
            "--threads" => arguments.threads = number(value()?)?.max(1),
            "--defect" => arguments.defect = value()?.parse()?,
            "--trace" => arguments.trace = true,
            _ => return Err(USAGE.to_string()),
        }
    }
    Ok(arguments)
}

/// The schedules of one thread, until one breaks something anywhere.
fn work(arguments: &Arguments, next: &AtomicU64, events: &AtomicU64) -> Option<Outcome> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= arguments.schedules {
            return None;
        }
        match run(arguments.seed + number, arguments.defect) {
            Ok(outcome) if outcome.violation.is_none() => {
                events.fetch_add(outcome.events() as u64, Ordering::Relaxed);
            }
            Ok(outcome) => {
                next.store(arguments.schedules, Ordering::Relaxed);
                return Some(outcome);
            }
            Err(error) => {
                eprintln!("{}", error.chain());
                return None;
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if arguments.trace {
        return match run(arguments.seed, arguments.defect) {
            Ok(outcome) => {
                print!("{}", outcome.trace());
                ExitCode::from(u8::from(outcome.violation.is_some()))
            }
            Err(error) => {
                eprintln!("{}", error.chain());
                ExitCode::from(2)
            }
        };
    }
    let (started, next, events) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    let found: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..arguments.threads).map(|_| scope.spawn(|| work(&arguments, &next, &events))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    if let Some(outcome) = found.iter().min_by_key(|outcome| outcome.seed) {
        if let Some(violation) = &outcome.violation {
            println!("seed {}: {violation}", outcome.seed);
        }
        println!("See it with: db-locks-sim --trace --seed {}", outcome.seed);
        return ExitCode::FAILURE;
    }
    let schedules = arguments.schedules as f64;
    println!(
        "{} schedules, {} events: all invariants held; {seconds:.1} s, {:.0} schedules/s",
        arguments.schedules,
        events.load(Ordering::Relaxed),
        schedules / seconds
    );
    ExitCode::SUCCESS
}
