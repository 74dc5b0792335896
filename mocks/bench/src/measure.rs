//! What is measured.

use std::time::Duration;

use crate::Failure;
use crate::child::Running;
use crate::load::Load;
use crate::scenarios::{self, STATIC, TEMPLATED};
use crate::table::{line, median, ratio_line};

/// How long requests of one kind are sent, where memory is looked at.
const ROUND: Duration = Duration::from_secs(2);

/// Measures everything and prints it.
pub(crate) fn all(load: &Load, rounds: usize, requests: u64) -> Result<(), Failure> {
    println!("{}", load.name());
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    scenarios::write(folders[0].path(), 8)?;
    scenarios::write(folders[1].path(), 9_998)?;
    let bare = Running::bare()?;
    let few = Running::serving(folders[0].path())?;
    let many = Running::serving(folders[1].path())?;
    let turns = [
        ("bare hyper", &bare, STATIC),
        ("static, 10 scenarios", &few, STATIC),
        ("templated, 10 scenarios", &few, TEMPLATED),
        ("static, 10,000 scenarios", &many, STATIC),
        ("templated, 10,000 scenarios", &many, TEMPLATED),
    ];
    let mut results = vec![Vec::new(); turns.len()];
    for (_, server, path) in turns {
        load.own(server.address, path, Duration::from_millis(300))?;
    }
    for round in 0..rounds {
        // To and fro, so that nobody always comes after the same other.
        let mut order: Vec<_> = turns.iter().zip(&mut results).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for ((_, server, path), result) in order {
            result.push(load.run(server.address, path)?);
        }
    }
    for ((what, ..), result) in turns.iter().zip(&results) {
        println!("{}", line(what, result));
    }
    if let [bare, fixed, templated, many_fixed, many_templated] = results.as_slice() {
        println!("ratios of neighbouring rounds: median, and where the middle half of them lies");
        println!("{}", ratio_line("static / bare hyper", fixed, bare));
        println!("{}", ratio_line("templated / static", templated, fixed));
        println!("{}", ratio_line("static, 10,000 / 10", many_fixed, fixed));
        println!("{}", ratio_line("templated, 10,000 / 10", many_templated, templated));
    }
    drop((bare, few, many));
    start()?;
    memory(load, requests)
}

fn start() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    scenarios::write(folder.path(), 498)?;
    let mut milliseconds = Vec::new();
    for _ in 0..5 {
        milliseconds.push(Running::serving(folder.path())?.start.as_secs_f64() * 1e3);
    }
    println!("start with 500 files               {:.1} ms", median(&milliseconds));
    Ok(())
}

/// Memory at the start, and after each million of requests, of which half are for templates.
pub(crate) fn memory(load: &Load, requests: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    scenarios::write(folder.path(), 8)?;
    let server = Running::serving(folder.path())?;
    let megabytes = || server.memory_kb().map_or(f64::NAN, |kb| kb as f64 / 1024.0);
    println!("memory, idle, 10 scenarios         {:.1} MB", megabytes());
    let mut sent = 0.0;
    let mut told = 0.0;
    for path in [STATIC, TEMPLATED].into_iter().cycle() {
        sent += load.own(server.address, path, ROUND)? * ROUND.as_secs_f64();
        if sent - told >= 1e6 || sent >= requests as f64 {
            told = sent;
            println!("memory after {sent:>10.0} requests     {:.1} MB", megabytes());
        }
        if sent >= requests as f64 {
            break;
        }
    }
    Ok(())
}
