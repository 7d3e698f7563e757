//! Contenders that are measured in this process.

use super::operation::{Implementation, InputTensors, Operation, Outcome, once};
use crate::answer::Answer;
use crate::clock::{Clock, alternate};
use crate::options::Rival;
use metal_candle_cli::error::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// The kernel and its rivals on one set of inputs, and what they have answered so far.
pub struct Contenders<'a> {
    operation: &'a Operation,
    inputs: &'a InputTensors,
    clock: &'a Clock,
    /// This program first.
    running: Vec<(Option<&'static str>, &'a Implementation)>,
    ours: Answer,
    theirs: BTreeMap<&'static str, Answer>,
}

impl<'a> Contenders<'a> {
    /// The kernel alone.
    pub fn new(operation: &'a Operation, inputs: &'a InputTensors, clock: &'a Clock) -> Self {
        Self {
            operation,
            inputs,
            clock,
            running: vec![(None, &operation.run)],
            ours: Answer::default(),
            theirs: BTreeMap::new(),
        }
    }

    /// candle's own operation, if it computes this case.
    pub fn add_candle(&mut self) {
        let run = &self.operation.candle;
        let mut passes = self.operation.passes().iter();
        let usable = passes.try_for_each(|&pass| {
            once(run, pass, self.inputs, self.clock)()?;
            Ok(())
        });
        self.add(Rival::Candle.name(), run, usable);
    }

    /// Each engine whose numbers are right.
    pub fn add_engines(&mut self, want: &Outcome) {
        for (name, run) in &self.operation.engines {
            let checked = self.operation.check(run, self.inputs, want);
            self.add(name, run, checked.map(|_| ()));
        }
    }

    /// One that cannot is left out, and why is in its answer.
    fn add(&mut self, name: &'static str, run: &'a Implementation, usable: Result<()>) {
        let answer = self.theirs.entry(name).or_default();
        match usable {
            Ok(()) => self.running.push((Some(name), run)),
            Err(error) => answer.error = Some(error.message().to_owned()),
        }
    }

    /// Times every pass by everybody, who alternate.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn alternate_passes(&mut self, budget: Duration) -> Result<()> {
        for &pass in self.operation.passes() {
            let runs = self.running.iter();
            let mut passes: Vec<_> = runs
                .map(|(_, run)| once(run, pass, self.inputs, self.clock))
                .collect();
            let secs = alternate(budget, &mut passes)?;
            drop(passes);
            for ((name, _), secs) in self.running.iter().zip(secs) {
                let answer = match name {
                    Some(name) => self.theirs.entry(name).or_default(),
                    None => &mut self.ours,
                };
                answer.add(pass, secs);
            }
        }
        Ok(())
    }

    /// Adds what other processes answered.
    pub fn merge(&mut self, theirs: BTreeMap<&'static str, Answer>) {
        for (name, answer) in theirs {
            self.theirs.entry(name).or_default().merge(answer);
        }
    }

    /// The answers of this program, and of its rivals by name.
    pub fn answers(self) -> (Answer, BTreeMap<&'static str, Answer>) {
        (self.ours, self.theirs)
    }
}
