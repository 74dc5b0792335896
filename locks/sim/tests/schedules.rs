//! The invariants under faults, the replay, and the check of the check.

use db_locks_sim::{Defect, run};

/// The first of these seeds that breaks something, and what.
fn first_broken(defect: Defect, mut seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    seeds.find_map(|seed| match run(seed, defect) {
        Ok(outcome) => {
            let violation = outcome.violation.as_ref()?;
            Some((seed, format!("{violation}\n{}", outcome.trace())))
        }
        Err(error) => Some((seed, error.chain())),
    })
}

#[test]
fn schedules_1_to_1000_keep_all_invariants() {
    assert_eq!(first_broken(Defect::Nothing, 1..1_001), None);
}

#[test]
fn schedules_1001_to_2000_keep_all_invariants() {
    assert_eq!(first_broken(Defect::Nothing, 1_001..2_001), None);
}

#[test]
fn the_same_seed_replays_byte_for_byte() {
    for seed in 1..200 {
        let (first, second) = (run(seed, Defect::Nothing).unwrap(), run(seed, Defect::Nothing).unwrap());
        assert!(first.events() > 0);
        assert_eq!(first.trace(), second.trace(), "seed {seed}");
    }
    assert_ne!(run(1, Defect::Nothing).unwrap().trace(), run(2, Defect::Nothing).unwrap().trace());
}

/// Within how many schedules each planted defect must be found.
const FOUND_WITHIN: u64 = 2_000;

#[test]
fn every_planted_defect_is_found() {
    let mut unnoticed = Vec::new();
    for &defect in Defect::PLANTED {
        match first_broken(defect, 1..FOUND_WITHIN) {
            Some((seed, what)) => {
                println!("{defect:?}: seed {seed}: {}", what.lines().next().unwrap_or_default())
            }
            None => unnoticed.push(defect),
        }
    }
    assert!(unnoticed.is_empty(), "not found in {FOUND_WITHIN} schedules: {unnoticed:?}");
}
