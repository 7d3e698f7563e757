//! Runs that are killed at random moments: what they leave loads, and goes on to the very bytes of a run that was not
//! killed.
//!
//! `cargo test --test kills -- --ignored` kills 200 times.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../cli/fixture.rs"]
mod fixture;
mod folder;
mod killed;
mod lock;

use killed::Uninterrupted;

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle");

/// A run is killed, the one that goes on with it is killed too, the third one ends.
const KILLS_OF_A_ROUND: usize = 2;

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    rounds(6);
}

#[test]
#[ignore = "takes minutes"]
fn two_hundred_killed_runs_go_on_to_the_same_bytes() {
    rounds(200 / KILLS_OF_A_ROUND);
}

fn rounds(n: usize) {
    let uninterrupted = Uninterrupted::run();
    for round in 0..n {
        uninterrupted.check_round(round, KILLS_OF_A_ROUND);
    }
}
