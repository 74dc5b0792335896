//! What is measured.

use std::time::Duration;

use crate::Failure;
use crate::child::Running;
use crate::load::Load;
use crate::scenarios::{self, STATIC, TEMPLATED};
use crate::table::{line, median, ratio};

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
    for _ in 0..rounds {
        for ((_, server, path), result) in turns.iter().zip(&mut results) {
            result.push(load.run(server.address, path)?);
        }
    }
    for ((what, ..), result) in turns.iter().zip(&results) {
        println!("{}", line(what, result));
    }
    if let [bare, fixed, templated, many_fixed, many_templated] = results.as_slice() {
        println!("static / bare hyper                {:.2}", ratio(fixed, bare));
        println!("templated / static                 {:.2}", ratio(templated, fixed));
        println!("static, 10,000 / 10                {:.2}", ratio(many_fixed, fixed));
        println!("templated, 10,000 / 10             {:.2}", ratio(many_templated, templated));
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

fn memory(load: &Load, requests: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    scenarios::write(folder.path(), 8)?;
    let server = Running::serving(folder.path())?;
    let megabytes =
        || server.memory_kb().map_or("unknown".to_owned(), |kb| format!("{:.1} MB", kb as f64 / 1024.0));
    println!("memory, idle, 10 scenarios         {}", megabytes());
    let mut sent = 0.0;
    let mut looks = Vec::new();
    while sent < requests as f64 {
        let (path, seconds) = if looks.len() % 2 == 0 { (STATIC, 3) } else { (TEMPLATED, 3) };
        sent += load.own(server.address, path, Duration::from_secs(seconds))? * seconds as f64;
        looks.push(megabytes());
    }
    println!("memory after {:>9.0} requests      {} (on the way: {})", sent, megabytes(), looks.join(", "));
    Ok(())
}
