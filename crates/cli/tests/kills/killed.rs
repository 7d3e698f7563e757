use crate::fixture::{Fixture, ended};
use crate::folder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ITERS: usize = 12;
/// Everything that a position decides: the order of rows, dropout masks, the learning rate, the moments.
const TRAIN: &str = "train --model model --data data --adapter-path out --save-every 1 --batch-size 2 --rank 2 \
                     --max-seq-length 48 --val-batches 0 --seed 3 --dropout 0.1 --learning-rate 1e-2 --warmup-steps 2 \
                     --lr-schedule cosine --steps-per-report 1";
/// What must be equal to the bit.
const PARTS: [&str; 2] = [
    "adapter_model.safetensors",
    "checkpoint-12/optimizer.safetensors",
];

/// A run that nobody killed.
pub struct Uninterrupted {
    parts: [Vec<u8>; 2],
    duration: Duration,
}

impl Uninterrupted {
    pub fn run() -> Self {
        let fixture = Fixture::new();
        let began = Instant::now();
        fixture.ok(&format!("{TRAIN} --iters {ITERS}"));
        Self {
            duration: began.elapsed(),
            parts: PARTS.map(|name| std::fs::read(fixture.path("out").join(name)).unwrap()),
        }
    }

    /// Kills a run `n_kills` times, lets it end, and compares.
    pub fn check_round(&self, round: usize, n_kills: usize) {
        let fixture = Fixture::new();
        let mut generator = ChaCha8Rng::seed_from_u64(round as u64);
        for kill in 0..n_kills {
            let after = self.duration.mul_f64(generator.random_range(0.0..1.1));
            start_and_kill(&fixture, after);
            folder::check(
                &fixture,
                &format!("round {round}, kill {kill} after {after:?}"),
            );
        }
        let went_on = finish(&fixture, &format!("round {round}"));
        for (name, expected) in PARTS.iter().zip(&self.parts) {
            let got = std::fs::read(fixture.path("out").join(name)).unwrap();
            assert!(
                got == *expected,
                "round {round}: {name} is not that of a run without kills"
            );
        }
        // What a killed run leaves is removed by the next one, and there is none where only copies
        // of the last checkpoint were missing: its learning rate is zero, so that the adapter of the
        // step before is the same.
        if went_on {
            folder::check_no_litter(&fixture, ITERS);
        }
    }
}

/// The words of a run that takes what is left of the steps; `None` when nothing is left.
fn words(fixture: &Fixture) -> Option<String> {
    match folder::steps(fixture) {
        None => Some(format!("{TRAIN} --iters {ITERS}")),
        Some(ITERS) => None,
        Some(done) => Some(format!(
            "{TRAIN} --iters {} --resume-adapter-file out",
            ITERS - done
        )),
    }
}

fn start_and_kill(fixture: &Fixture, after: Duration) {
    let Some(words) = words(fixture) else {
        return;
    };
    let mut command = fixture.command(&words);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    // It may have ended before.
    let _ = child.kill();
    child.wait().unwrap();
}

/// Whether anything was left to do.
fn finish(fixture: &Fixture, what: &str) -> bool {
    let Some(words) = words(fixture) else {
        return false;
    };
    let ended = ended(fixture.command(&words).output().unwrap());
    ended.check(&format!("{what}: {words}"), 0, &[]);
    true
}
