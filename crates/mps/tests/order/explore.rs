//! Which interleavings are tried: all, or random ones.

use crate::gpu::Violation;
use crate::host::{Op, Rules, World};

/// What went wrong, and the threads in the order in which they acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub violation: Violation,
    pub schedule: Vec<usize>,
    pub programs: Vec<Vec<Op>>,
}

/// Runs every interleaving of the programs; how many there are, or the first that fails.
pub fn every(rules: &Rules, programs: &[Vec<Op>]) -> Result<usize, Failure> {
    // The choice made at every action, and how many there were.
    let mut choices: Vec<(usize, usize)> = vec![];
    for runs in 1.. {
        let mut at = 0;
        run(rules, programs, |choices_here| {
            if at == choices.len() {
                choices.push((0, choices_here));
            }
            at += 1;
            choices[at - 1].0
        })?;
        while choices.last().is_some_and(|(choice, n)| choice + 1 == *n) {
            choices.pop();
        }
        match choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return Ok(runs),
        }
    }
    unreachable!("the loop has no end")
}

/// Runs the programs with choices by `choose`, which is told how many threads can act.
pub fn run(
    rules: &Rules,
    programs: &[Vec<Op>],
    mut choose: impl FnMut(usize) -> usize,
) -> Result<(), Failure> {
    let mut world = World::new(rules, programs);
    let mut schedule = vec![];
    loop {
        let runnable = world.runnable();
        if runnable.is_empty() {
            break;
        }
        let thread = runnable[choose(runnable.len())];
        schedule.push(thread);
        world.act(thread);
    }
    match world.verdict().into_iter().next() {
        None => Ok(()),
        Some(violation) => Err(Failure {
            violation,
            schedule,
            programs: programs.to_vec(),
        }),
    }
}

/// Numbers that look random, the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}
