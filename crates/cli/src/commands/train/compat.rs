//! `--compat mlx`: what mlx-lm's words mean where they are ours too.

use super::args::{Args, FineTuneType};
use crate::adapter_options::AdapterOptions;
use crate::error::{Error, Result};
use crate::mlx;
use clap::ValueEnum;
use metal_candle::data::Convention;
use metal_candle::train::{Resume, Rule, Schedule, Warmup, Weighting};
use serde_json::Value;

/// Program whose defaults and rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// Our own.
    None,
    /// mlx-lm's.
    Mlx,
}

impl Args {
    /// What is to hold: what was asked for, what the configuration file was written for, or what held in the run that
    /// this one goes on with.
    pub fn wanted_compat(&self, is_file_of_mlx: bool) -> Compat {
        match self.compat {
            Some(compat) => compat,
            None if is_file_of_mlx || self.resumes_mlx() => Compat::Mlx,
            None => Compat::None,
        }
    }

    /// Whether mlx-lm's rules held in the run to go on with.
    fn resumes_mlx(&self) -> bool {
        self.resumed_setting("compat")
            .is_some_and(|compat| compat == "mlx")
    }

    /// Setting of the run to go on with. A state that cannot be read is told by who goes on with it.
    pub(super) fn resumed_setting(&self, name: &str) -> Option<Value> {
        let path = self.resume_adapter_file.as_deref();
        let resume = path.and_then(|path| Resume::find(path).ok());
        let settings = resume.and_then(|resume| resume.settings)?;
        settings.get(name).cloned()
    }

    /// Whether mlx-lm's rules hold.
    pub fn is_mlx(&self) -> bool {
        self.compat == Some(Compat::Mlx)
    }

    /// Batches that `--iters` and the counts beside it take for one: those of a step where mlx-lm's rules hold.
    fn batches_per_step(&self) -> usize {
        match self.is_mlx() {
            true => self.rows.grad_accumulation_steps.get(),
            false => 1,
        }
    }

    /// Optimizer steps of the run.
    pub fn steps(&self) -> usize {
        self.optimizer.iters / self.batches_per_step()
    }

    /// What `--iters` is for so many optimizer steps.
    pub fn iters_of(&self, steps: usize) -> usize {
        steps.saturating_mul(self.batches_per_step())
    }

    /// Optimizer steps of `count` iterations between two reports, evaluations or saves.
    pub fn steps_between(&self, count: usize) -> usize {
        let per_step = self.batches_per_step();
        match count {
            0 => 0,
            count => (count / per_step).max(1),
        }
    }

    /// Checks that iterations make steps, and tells what of them does not come out even.
    ///
    /// # Errors
    /// When they make no step.
    pub fn check_iters(&self) -> Result<()> {
        let (iters, per_step) = (self.optimizer.iters, self.batches_per_step());
        if iters < per_step {
            return Err(Error::input(format!(
                "--iters {iters}: no step of --grad-accumulation-steps {per_step}"
            ))
            .with_advice("with mlx-lm's rules iterations are batches: give more of them"));
        }
        if !iters.is_multiple_of(per_step) {
            tracing::warn!(
                "--iters {iters} are {} steps of {per_step} batches: the last {} batches, which mlx-lm computes for nothing, are left out",
                self.steps(),
                iters % per_step
            );
        }
        let between = [
            ("--steps-per-report", self.reports.steps_per_report),
            ("--steps-per-eval", self.reports.steps_per_eval.count()),
            ("--save-every", self.reports.save_every.count()),
        ];
        for (option, count) in between {
            if !count.is_multiple_of(per_step) {
                let batches = self.iters_of(self.steps_between(count));
                tracing::warn!(
                    "{option} {count} is no multiple of the {per_step} batches of a step: {batches} is taken"
                );
            }
        }
        Ok(())
    }

    /// Tells which options of adapters change nothing where blocks are trained as a whole.
    pub fn tell_unused(&self) {
        let mut unused = self.adapter.given();
        unused.retain(|option| *option != "--num-layers");
        if !unused.is_empty() {
            tracing::warn!(
                "{}: nothing is changed by these where no adapter is trained",
                unused.join(", ")
            );
        }
    }

    /// Rule by which tokens are trained.
    pub fn convention(&self) -> Convention {
        match self.is_mlx() {
            true => Convention::MlxLm,
            false => Convention::Standard,
        }
    }

    /// Share of a batch in a step.
    pub fn weighting(&self) -> Weighting {
        match self.is_mlx() {
            true => Weighting::MicroBatches,
            false => Weighting::Tokens,
        }
    }

    /// Rule by which parameters follow their gradients. mlx-lm's matrices of adapters are ours transposed.
    ///
    /// # Errors
    /// When it has no such setting, or one has another kind of value.
    pub fn rule(&self) -> Result<Rule> {
        let mut rule = self.optimizer.rule()?;
        if let Rule::Muon(muon) = &mut rule {
            muon.transposed |= self.is_mlx() && self.fine_tune_type != FineTuneType::Full;
        }
        Ok(rule)
    }

    /// Learning rates. mlx-lm's warm-up begins at 0 and stays at the peak for a step more than it rises
    /// (`build_schedule` in `mlx_lm/tuner/utils.py`).
    pub fn schedule(&self) -> Schedule {
        let mut schedule = self.optimizer.schedule();
        let rise = self.optimizer.warmup_steps;
        if self.is_mlx() && rise > 0 {
            schedule.warmup = Warmup {
                from: self.optimizer.warmup_init.unwrap_or(0.0),
                rise,
                steps: rise + 1,
            };
        }
        schedule
    }

    /// Options of an adapter, with mlx-lm's defaults where its rules hold.
    pub fn fresh_adapter(&self) -> AdapterOptions {
        match self.is_mlx() {
            true => self.adapter.or(&mlx::adapter()),
            false => self.adapter.clone(),
        }
    }
}
