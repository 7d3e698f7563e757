//! The thread of a queue.

use super::{Shared, execute, lock, order};
use crate::command_buffer::SoftCommandBuffer;
use objc2::rc::{Retained, autoreleasepool};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex};

static BUSY: Mutex<usize> = Mutex::new(0);
static IDLE: Condvar = Condvar::new();

/// Waits until no queue has work, and no queue's thread holds an object.
pub fn drain() {
    let mut busy = lock(&BUSY);
    while *busy > 0 {
        busy = IDLE.wait(busy).unwrap_or_else(|e| e.into_inner());
    }
}

/// Executes command buffers one after another; ends when the queue is deallocated.
pub struct Lane(Sender<Shared<Retained<SoftCommandBuffer>>>);

impl Lane {
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("software GPU".into());
        thread.spawn(move || serve(receiver)).expect("a thread for a queue");
        Self(sender)
    }

    pub fn submit(&self, commands: Retained<SoftCommandBuffer>) {
        *lock(&BUSY) += 1;
        commands.state().known = order::host();
        self.0.send(Shared(commands)).unwrap_or_else(|_| panic!("the thread of a queue is gone"));
    }
}

fn serve(receiver: Receiver<Shared<Retained<SoftCommandBuffer>>>) {
    while let Ok(commands) = receiver.recv() {
        autoreleasepool(|_| {
            execute::run(&commands.0);
            drop(commands);
        });
        *lock(&BUSY) -= 1;
        IDLE.notify_all();
    }
}
