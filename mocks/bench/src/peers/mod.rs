//! Other products beside ours: the same stubs, the same load, in turns and in one run.

mod process;
mod products;
mod stubs;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::Failure;
use crate::load::{Load, Look};
use crate::table::{median, ratio};
use process::Server;
use products::{PRODUCTS, Product, Site};
use stubs::{Probe, Set};

/// How to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the other products: see the README
    #[arg(long, env = "API_MOCK_PEERS")]
    peers_dir: Option<PathBuf>,
    /// Only these comparisons
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Set>,
    /// Seconds of load before anything counts
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How often each is started, for the time to its first answer
    #[arg(long, default_value_t = 3)]
    starts: usize,
}

/// A product that runs.
struct Entrant {
    title: String,
    server: Server,
    starts: Vec<f64>,
}

/// Measures all that is there and prints a table a comparison.
pub(crate) fn compare(load: &Load, rounds: usize, options: &Options) -> Result<(), Failure> {
    let site = Site::new(options.peers_dir.clone())?;
    println!("{}", load.name());
    for set in Set::ALL {
        if options.only.is_empty() || options.only.contains(&set) {
            one_set(set, &site, load, rounds, options)?;
        }
    }
    Ok(())
}

fn one_set(set: Set, site: &Site, load: &Load, rounds: usize, options: &Options) -> Result<(), Failure> {
    println!("\n{}\n", set.title());
    let mut entrants = Vec::new();
    let mut absent = Vec::new();
    for product in PRODUCTS.iter().filter(|product| product.sets.contains(&set)) {
        match site.find(product) {
            Some(title) => match enter(product, title, set, site, options.starts) {
                Ok(entrant) => entrants.push(entrant),
                Err(error) => absent.push(format!("{} ({error})", product.name)),
            },
            None => absent.push(format!("{} (not installed)", product.name)),
        }
    }
    for probe in set.probes() {
        let warm = Load { round: Duration::from_secs(options.warm_up), ..*load };
        for entrant in &entrants {
            warm.look(entrant.server.address, &probe.target)?;
        }
        let mut looks: Vec<Vec<Look>> = entrants.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (entrant, looks) in entrants.iter().zip(&mut looks) {
                looks.push(load.look(entrant.server.address, &probe.target)?);
            }
        }
        table(&probe, &entrants, &looks);
    }
    if !absent.is_empty() {
        println!("Not measured: {}.", absent.join(", "));
    }
    Ok(())
}

/// Starts a product some times, and lets the last run.
fn enter(product: &Product, title: String, set: Set, site: &Site, starts: usize) -> Result<Entrant, Failure> {
    let mut times = Vec::new();
    loop {
        let server = Server::start(set, &mut |port, folder| product.command(site, set, port, folder))?;
        times.push(server.start.as_secs_f64() * 1e3);
        if times.len() >= starts.max(1) {
            return Ok(Entrant { title, server, starts: times });
        }
    }
}

fn table(probe: &Probe, entrants: &[Entrant], looks: &[Vec<Look>]) {
    println!("{}:\n", probe.label);
    println!("| server | requests/s | to ours | p99 | memory after | first answer after |");
    println!("|---|---|---|---|---|---|");
    let rates = |looks: &[Look]| looks.iter().map(|look| look.rate).collect::<Vec<f64>>();
    // Ours is the first of the list.
    let ours = looks.first().map(|looks| rates(looks)).unwrap_or_default();
    for (entrant, looks) in entrants.iter().zip(looks) {
        let all = rates(looks);
        let p99: Vec<f64> = looks.iter().filter_map(|look| look.p99_ms).collect();
        let p99 = if p99.is_empty() { "?".to_owned() } else { format!("{:.1} ms", median(&p99)) };
        let timeouts: u64 = looks.iter().map(|look| look.timeouts).sum();
        let late = if timeouts > 0 { format!(", {timeouts} over 2 s") } else { String::new() };
        let memory = entrant.server.memory_kb() / 1024;
        let start = median(&entrant.starts);
        let rate = if median(&all) < 100.0 {
            format!("{:.1}", median(&all))
        } else {
            format!("{:.0}", median(&all))
        };
        let to_ours = ratio(&all, &ours);
        println!("| {} | {rate} | {to_ours:.3} | {p99}{late} | {memory} MB | {start:.0} ms |", entrant.title);
    }
    println!();
}
