//! Execution of one command buffer.

use super::{Command, Known, Op, Pass, order};
use crate::command_buffer::{Handler, SoftCommandBuffer, State};
use crate::rules::report;
use objc2::DefinedClass;
use objc2::runtime::ProtocolObject;
use objc2_metal::MTLCommandBufferStatus as Status;
use std::ptr::NonNull;

pub fn run(commands: &SoftCommandBuffer) {
    let (ops, known, handlers) = {
        let mut state = commands.state();
        state.status = Status::Scheduled;
        (std::mem::take(&mut state.ops), state.known.clone(), std::mem::take(&mut state.scheduled_handlers))
    };
    call(handlers.into_iter().map(|h| h.0), commands);
    let (done, error) = run_ops(ops, known);
    let handlers = {
        let mut state = commands.state();
        complete(&mut state, done, error)
    };
    call(handlers.into_iter(), commands);
    commands.finish();
}

fn complete(state: &mut State, done: Known, error: Option<String>) -> Vec<Handler> {
    let error = state.fault.take().or(error);
    state.status = if error.is_some() { Status::Error } else { Status::Completed };
    state.error = error;
    if !state.handlers.is_empty() {
        order::host_learns(&done); // a handler tells the host
    }
    state.known = done;
    std::mem::take(&mut state.handlers).into_iter().map(|h| h.0).collect()
}

fn call(handlers: impl Iterator<Item = Handler>, commands: &SoftCommandBuffer) {
    for handler in handlers {
        handler.call((NonNull::from(ProtocolObject::from_ref(commands)),));
    }
}

/// What has finished at the end, and the first error.
fn run_ops(ops: Vec<Op>, mut known: Known) -> (Known, Option<String>) {
    let (mut done, mut error) = (known.clone(), None);
    for op in ops {
        match op {
            Op::Signal(signal, value) => signal.set(value, &done),
            Op::Wait(signal, value) => {
                if let Some(k) = signal.wait(value, None) {
                    known.extend(&k);
                    done.extend(&k);
                }
            }
            Op::Pass(pass) => {
                let number = pass.number;
                match run_pass(pass, &known) {
                    Ok(k) => done.extend(&k),
                    Err(e) => drop(error.get_or_insert(e)),
                }
                done.insert(number);
            }
        }
    }
    (done, error)
}

/// What is known to have finished when the pass has.
fn run_pass(pass: Pass, known: &Known) -> Result<Known, String> {
    let mut checker = order::PassChecker::new(&pass, known.clone());
    for command in &pass.commands {
        if let Command::WaitFence(fence, updates) = command {
            checker.learn(&fence.ivars().wait(*updates)); // fence waits take effect when the pass starts
        }
    }
    let (mut result, mut updated) = (Ok(()), vec![]);
    for command in pass.commands {
        match command {
            Command::WaitFence(..) => {}
            Command::UpdateFence(fence) => updated.push(fence),
            Command::Barrier => checker.barrier(),
            Command::Run { what, accesses, work } => {
                checker.check(&what, &accesses);
                if let Err(failure) = work() {
                    report(failure.rule, &what, format!("{} ({})", failure.text, checker.pass()));
                    result = result.and(Err(format!("{what}: {}", failure.text)));
                }
            }
        }
    }
    let done = checker.done();
    updated.iter().for_each(|fence| fence.ivars().update(&done)); // and updates when it ends
    result.map(|()| checker.known())
}
