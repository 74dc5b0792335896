//! How long imports take, and how much memory:
//! `cargo run --release -p api-mock-openapi --example import_times -- [--seed N] [FILE...]`
//!
//! Without files it makes specifications of 1 to 16 MB from a seed, whose schemas refer to each other in circles, as JSON and
//! as YAML. Each import is a process of its own, of which the best of three runs and the most memory are told.

#[path = "import_times/circular.rs"]
mod circular;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use api_mock_openapi::{ImportOptions, NoDocuments, import, parse};

type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 3;
/// Megabytes, and whether as YAML.
const SIZES: [(usize, bool); 8] =
    [(1, false), (2, false), (4, false), (8, false), (10, false), (16, false), (4, true), (10, true)];

fn main() -> Result<(), Failure> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if let [only, file] = args.as_slice()
        && only == "--one"
    {
        return one(Path::new(file));
    }
    let mut seed = 1;
    if args.first().is_some_and(|first| first == "--seed") {
        seed = args.get(1).ok_or("--seed wants a number")?.parse()?;
        args.drain(..2);
    }
    println!(
        "{:>9}  {:>8}  {:>8}  {:>9}  {:>8}  {:>8}  specification",
        "bytes", "read ms", "all ms", "scenarios", "problems", "peak MB"
    );
    for file in &args {
        show(file, Path::new(file))?;
    }
    if args.is_empty() {
        let folder = std::env::temp_dir().join(format!("import-times-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let shown = made(&folder, seed);
        std::fs::remove_dir_all(&folder)?;
        shown?;
    }
    Ok(())
}

fn made(folder: &Path, seed: u64) -> Result<(), Failure> {
    for (megabytes, as_yaml) in SIZES {
        let text = circular::specification(megabytes << 20, seed, as_yaml);
        let file = folder.join("specification");
        std::fs::write(&file, text)?;
        let kind = if as_yaml { "YAML" } else { "JSON" };
        show(&format!("{megabytes} MB with circles, {kind}, seed {seed}"), &file)?;
    }
    Ok(())
}

/// The best of several runs, each in a process of its own.
fn show(name: &str, file: &Path) -> Result<(), Failure> {
    let mut best: Option<Vec<f64>> = None;
    for _ in 0..ROUNDS {
        let program = Command::new(std::env::current_exe()?)
            .arg("--one")
            .arg(file)
            .stderr(Stdio::inherit())
            .output()?;
        let told = String::from_utf8(program.stdout)?;
        let figures: Result<Vec<f64>, _> = told.split_whitespace().map(str::parse).collect();
        let figures = figures.map_err(|_| told)?;
        if best.as_ref().is_none_or(|best| figures.get(2) < best.get(2)) {
            best = Some(figures);
        }
    }
    if let Some([bytes, read, all, scenarios, problems, peak]) = best.as_deref() {
        println!("{bytes:>9}  {read:>8.1}  {all:>8.1}  {scenarios:>9}  {problems:>8}  {peak:>8.0}  {name}");
    }
    Ok(())
}

/// One import, and what it took.
fn one(file: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(file)?;
    let begun = Instant::now();
    let imported = import(&bytes, &ImportOptions::default(), &NoDocuments)?;
    let all = begun.elapsed().as_secs_f64() * 1e3;
    let (scenarios, problems) = (imported.scenarios.len(), imported.problems.len());
    let peak = peak_kilobytes().unwrap_or_default() as f64 / 1024.0;
    drop(imported);
    let begun = Instant::now();
    parse(&bytes, &ImportOptions::default(), &NoDocuments)?;
    let read = begun.elapsed().as_secs_f64() * 1e3;
    writeln!(std::io::stdout(), "{} {read} {all} {scenarios} {problems} {peak}", bytes.len())?;
    Ok(())
}

/// The most memory that this process had so far, where the system tells.
fn peak_kilobytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
