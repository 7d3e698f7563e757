//! Threads that run candle's operations and scripts, one visible action at a time.
//!
//! Every operation reads the thread's last tensor and the newest one of any thread, and makes a
//! new one; then the thread lets go of what it had. So memory is read by several threads, and
//! handed out again as soon as the host is done with it.

use crate::candle::{Candle, Tensor};
use crate::gpu::{Gpu, Violation};
use crate::walk::{Progress, Walk};
use metal_candle_mps::order::{Call, Step};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A kernel of candle's.
    Kernel,
    /// A copy of candle's, which ends its encoder.
    Copy,
    /// The script.
    Mps,
    /// `to_vec`: a copy, and `flush_and_wait_current`.
    ReadBack,
    /// `Device::synchronize`: `flush_and_wait`.
    Synchronize,
}

/// How MPS work is encoded in a run.
#[derive(Debug, Clone)]
pub struct Rules {
    pub script: Vec<Step>,
    pub call: Call,
    pub calls: usize,
    pub passes_per_buffer: usize,
    /// Whether threads take a lock around the script, as the encoder does.
    pub one_at_a_time: bool,
}

pub struct World<'a> {
    pub rules: &'a Rules,
    pub gpu: Gpu,
    pub candle: Candle,
    newest: Tensor,
    operations: usize,
    /// The thread that walks the script.
    walking: Option<usize>,
    threads: Vec<Thread>,
}

struct Thread {
    program: std::vec::IntoIter<Op>,
    last: Tensor,
    running: Option<Running>,
}

struct Running {
    operation: usize,
    inputs: [Tensor; 2],
    result: Tensor,
    stage: Stage,
}

enum Stage {
    Walk(Box<Walk>),
    /// The copy is encoded.
    Copied,
    Waiting(Option<(crate::gpu::Queue, usize)>),
    /// `Device::synchronize` has waited.
    Waited,
    Synchronize,
    Done,
}

impl<'a> World<'a> {
    /// All threads begin with a tensor that a kernel of candle's has just written.
    pub fn new(rules: &'a Rules, programs: &[Vec<Op>]) -> Self {
        let (mut gpu, mut candle) = (Gpu::default(), Candle::new(rules.passes_per_buffer));
        let first = candle.allocate();
        candle.dispatch(&mut gpu, &[], &first, 0);
        let thread = |program: &Vec<Op>| Thread {
            program: program.clone().into_iter(),
            last: first.clone(),
            running: None,
        };
        let threads = programs.iter().map(thread).collect();
        Self {
            rules,
            gpu,
            candle,
            newest: first.clone(),
            operations: 0,
            walking: None,
            threads,
        }
    }

    /// Threads that can act now.
    pub fn runnable(&self) -> Vec<usize> {
        (0..self.threads.len())
            .filter(|&id| self.can_run(id))
            .collect()
    }

    fn can_run(&self, id: usize) -> bool {
        let thread = &self.threads[id];
        let next = thread.program.as_slice().first();
        let waits_for_lock = self.rules.one_at_a_time
            && thread.running.is_none()
            && next == Some(&Op::Mps)
            && self.walking.is_some();
        (thread.running.is_some() || next.is_some()) && !waits_for_lock
    }

    pub fn is_over(&self) -> bool {
        self.threads
            .iter()
            .all(|t| t.running.is_none() && t.program.len() == 0)
    }

    /// The next visible action of a thread.
    pub fn act(&mut self, id: usize) {
        let running = self.threads[id].running.take();
        let mut running = running.unwrap_or_else(|| self.start(id));
        self.advance(&mut running);
        if matches!(running.stage, Stage::Done) {
            self.walking = self.walking.filter(|&walking| walking != id);
            self.threads[id].last = running.result.clone();
            self.newest = running.result;
        } else {
            self.threads[id].running = Some(running);
        }
    }

    fn start(&mut self, id: usize) -> Running {
        let op = self.threads[id].program.next().expect("the thread can run");
        self.operations += 1;
        let inputs = [self.threads[id].last.clone(), self.newest.clone()];
        let synchronizes = op == Op::Synchronize;
        let result = if synchronizes {
            inputs[0].clone()
        } else {
            self.candle.allocate()
        };
        let mut running = Running {
            operation: self.operations,
            inputs,
            result,
            stage: Stage::Done,
        };
        match op {
            Op::Kernel => self.kernel(&running),
            Op::Copy => self.copy(&running),
            Op::ReadBack => running.stage = Stage::Copied,
            Op::Synchronize => running.stage = Stage::Synchronize,
            Op::Mps => {
                self.walking = Some(id);
                running.stage = Stage::Walk(Box::new(Walk::new(&mut self.gpu)));
            }
        }
        if matches!(running.stage, Stage::Copied) {
            self.copy(&running);
            running.stage = Stage::Copied;
        }
        running
    }

    fn kernel(&mut self, running: &Running) {
        let [a, b] = &running.inputs;
        self.candle
            .dispatch(&mut self.gpu, &[a, b], &running.result, running.operation);
    }

    fn copy(&mut self, running: &Running) {
        self.candle.copy(
            &mut self.gpu,
            &running.inputs[0],
            &running.result,
            running.operation,
        );
    }

    fn advance(&mut self, running: &mut Running) {
        running.stage = match std::mem::replace(&mut running.stage, Stage::Done) {
            Stage::Done => Stage::Done,
            Stage::Walk(mut walk) => {
                let memory = running.inputs.each_ref().map(|tensor| **tensor);
                let progress = walk.advance(self, memory, *running.result, running.operation);
                if progress == Progress::Over {
                    Stage::Done
                } else {
                    Stage::Walk(walk)
                }
            }
            Stage::Copied => Stage::Waiting(Some(self.candle.commit(&mut self.gpu, 0))),
            Stage::Waiting(ticket) => {
                self.wait(ticket);
                self.gpu.host_reads(*running.result);
                Stage::Done
            }
            Stage::Synchronize => {
                let ticket = self.candle.flush(&mut self.gpu);
                self.wait(ticket);
                Stage::Waited
            }
            Stage::Waited => {
                self.candle.forget_outputs();
                Stage::Done
            }
        };
    }

    pub fn wait(&mut self, ticket: Option<(crate::gpu::Queue, usize)>) {
        if let Some(ticket) = ticket {
            let done = self.gpu.finish(ticket);
            self.candle.completed(done);
        }
    }

    /// What was wrong in this run.
    pub fn verdict(mut self) -> Vec<Violation> {
        if !self.is_over() {
            self.gpu.violations.push(Violation::Deadlock);
        }
        self.candle.commit(&mut self.gpu, 0);
        self.gpu.check_order();
        self.gpu.violations
    }
}
