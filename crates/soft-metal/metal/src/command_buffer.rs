//! `MTLCommandBuffer`: encoded by one thread, executed by that of its queue.

use crate::counts;
use crate::encoder::{Encoder, SoftBlit, SoftCompute};
use crate::event::{Signal, SoftEvent, SoftSharedEvent};
use crate::foundation;
use crate::gpu::{Known, Op, Pass, Shared, fault, lock, order};
use crate::object::{Name, make, soft};
use crate::queue::SoftQueue;
use crate::rules::{Rule, broken};
use block2::RcBlock;
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, ProtocolObject};
use objc2::{ClassType, DefinedClass, Message, define_class};
use objc2_foundation::{NSError, NSObjectProtocol, NSString};
use objc2_metal::{
    MTLBlitCommandEncoder, MTLCommandBuffer, MTLCommandBufferHandler, MTLCommandBufferStatus as Status,
    MTLCommandQueue, MTLComputeCommandEncoder, MTLDevice, MTLDispatchType, MTLEvent,
};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

pub type Handler = RcBlock<dyn Fn(NonNull<ProtocolObject<dyn MTLCommandBuffer>>)>;

pub struct State {
    pub status: Status,
    /// Kind of the encoder that is open.
    pub open: Option<&'static str>,
    pub ops: Vec<Op>,
    pub handlers: Vec<Shared<Handler>>,
    pub scheduled_handlers: Vec<Shared<Handler>>,
    /// What it is to fail with, whatever its commands do.
    pub fault: Option<String>,
    pub error: Option<String>,
    /// Before execution: what had finished when it was committed. After: what has finished.
    pub known: Known,
    /// Handlers have run.
    pub finished: bool,
}

pub struct Ivars {
    queue: Retained<SoftQueue>,
    pub name: Name,
    state: Mutex<State>,
    done: Condvar,
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftCommandBuffer"]
    #[ivars = Ivars]
    pub struct SoftCommandBuffer;

    unsafe impl NSObjectProtocol for SoftCommandBuffer {}

    unsafe impl MTLCommandBuffer for SoftCommandBuffer {
        #[unsafe(method_id(device))]
        fn device(&self) -> Retained<ProtocolObject<dyn MTLDevice>> {
            ProtocolObject::from_retained(self.ivars().queue.ivars().device.clone())
        }

        #[unsafe(method_id(commandQueue))]
        fn commandQueue(&self) -> Retained<ProtocolObject<dyn MTLCommandQueue>> {
            ProtocolObject::from_retained(self.ivars().queue.clone())
        }

        #[unsafe(method(status))]
        fn status(&self) -> Status {
            let state = self.state();
            // Who sees the end knows what came before it, though handlers may still run.
            if matches!(state.status, Status::Completed | Status::Error) {
                order::host_learns(&state.known);
            }
            state.status
        }

        #[unsafe(method_id(error))]
        fn error(&self) -> Option<Retained<NSError>> {
            self.state().error.as_ref().map(|text| foundation::error("MTLCommandBufferErrorDomain", 1, text))
        }

        #[unsafe(method_id(label))]
        fn label(&self) -> Option<Retained<NSString>> {
            self.ivars().name.label()
        }

        #[unsafe(method(setLabel:))]
        fn setLabel(&self, label: Option<&NSString>) {
            self.ivars().name.set_label(label);
        }

        #[unsafe(method(enqueue))]
        fn enqueue(&self) {
            self.encode("enqueue", Rule::TwoOpenEncoders).status = Status::Enqueued;
        }

        #[unsafe(method(commit))]
        fn commit(&self) {
            self.commit_to_queue();
        }

        #[unsafe(method(waitUntilScheduled))]
        fn waitUntilScheduled(&self) {
            self.wait("waitUntilScheduled");
        }

        #[unsafe(method(waitUntilCompleted))]
        fn waitUntilCompleted(&self) {
            counts::waited();
            let done = self.wait("waitUntilCompleted");
            order::host_learns(&done);
        }

        #[unsafe(method(addScheduledHandler:))]
        unsafe fn addScheduledHandler(&self, block: MTLCommandBufferHandler) {
            let block = unsafe { RcBlock::copy(block.cast()) }.expect("a block");
            self.before_commit("addScheduledHandler:").scheduled_handlers.push(Shared(block));
        }

        #[unsafe(method(addCompletedHandler:))]
        unsafe fn addCompletedHandler(&self, block: MTLCommandBufferHandler) {
            let block = unsafe { RcBlock::copy(block.cast()) }.expect("a block");
            self.before_commit("addCompletedHandler:").handlers.push(Shared(block));
        }

        #[unsafe(method(encodeSignalEvent:value:))]
        fn encodeSignalEvent_value(&self, event: &ProtocolObject<dyn MTLEvent>, value: u64) {
            let signal = signal_of(event);
            self.encode("encodeSignalEvent:", Rule::EventWithOpenEncoder).ops.push(Op::Signal(signal, value));
        }

        #[unsafe(method(encodeWaitForEvent:value:))]
        fn encodeWaitForEvent_value(&self, event: &ProtocolObject<dyn MTLEvent>, value: u64) {
            let signal = signal_of(event);
            self.encode("encodeWaitForEvent:", Rule::EventWithOpenEncoder).ops.push(Op::Wait(signal, value));
        }

        #[unsafe(method_id(blitCommandEncoder))]
        fn blitCommandEncoder(&self) -> Option<Retained<ProtocolObject<dyn MTLBlitCommandEncoder>>> {
            Some(ProtocolObject::from_retained(make::<SoftBlit>(self.open("blit", false))))
        }

        #[unsafe(method_id(computeCommandEncoder))]
        fn computeCommandEncoder(&self) -> Option<Retained<ProtocolObject<dyn MTLComputeCommandEncoder>>> {
            Some(ProtocolObject::from_retained(make::<SoftCompute>(self.open("compute", false))))
        }

        #[unsafe(method_id(computeCommandEncoderWithDispatchType:))]
        fn computeCommandEncoderWithDispatchType(
            &self,
            kind: MTLDispatchType,
        ) -> Option<Retained<ProtocolObject<dyn MTLComputeCommandEncoder>>> {
            Some(ProtocolObject::from_retained(make::<SoftCompute>(
                self.open("compute", kind == MTLDispatchType::Concurrent),
            )))
        }
    }
);

/// Events and shared events are the same to a command buffer.
fn signal_of(event: &ProtocolObject<dyn MTLEvent>) -> Arc<Signal> {
    // SAFETY: only the class is read.
    let any = unsafe { &*(event as *const _ as *const AnyObject) };
    if any.class() == SoftSharedEvent::class() {
        return soft::<SoftSharedEvent, _>(event).ivars().clone();
    }
    soft::<SoftEvent, _>(event).ivars().clone()
}

impl SoftCommandBuffer {
    pub fn new(queue: &SoftQueue) -> Retained<Self> {
        let state = State {
            status: Status::NotEnqueued,
            open: None,
            ops: vec![],
            handlers: vec![],
            scheduled_handlers: vec![],
            fault: None,
            error: None,
            known: Known::default(),
            finished: false,
        };
        let name = Name::new("command buffer");
        make(Ivars { queue: queue.retain(), name, state: Mutex::new(state), done: Condvar::new() })
    }

    pub fn queue(&self) -> &SoftQueue {
        &self.ivars().queue
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.ivars().state)
    }

    fn before_commit(&self, what: &str) -> MutexGuard<'_, State> {
        let state = self.state();
        if committed(&state) {
            drop(state);
            broken(Rule::HandlerAfterCommit, &self.ivars().name, what);
        }
        state
    }

    /// For what adds work to the buffer itself; `open_rule` is the one that an open encoder breaks.
    pub fn encode(&self, what: &str, open_rule: Rule) -> MutexGuard<'_, State> {
        let state = self.state();
        if committed(&state) {
            drop(state);
            let rule = if what == "commit" { Rule::CommitTwice } else { Rule::EncodeAfterCommit };
            broken(rule, &self.ivars().name, what);
        }
        if let Some(kind) = state.open {
            drop(state);
            broken(open_rule, &self.ivars().name, format!("{what} while a {kind} encoder is open"));
        }
        state
    }

    fn open(&self, kind: &'static str, concurrent: bool) -> Encoder {
        self.encode(&format!("a {kind} encoder"), Rule::TwoOpenEncoders).open = Some(kind);
        Encoder::new(self.retain(), Pass::new(kind, concurrent, &self.ivars().name))
    }

    pub fn commit_to_queue(&self) {
        // Fences count updates in the order of commits, and a queue runs what it has in that order.
        static COMMITS: Mutex<()> = Mutex::new(());
        let _order = lock(&COMMITS);
        let mut state = self.encode("commit", Rule::CommitWithOpenEncoder);
        state.status = Status::Committed;
        state.fault = fault::at_commit();
        order::committed(&mut state);
        drop(state);
        self.ivars().queue.submit(self.retain());
    }

    fn wait(&self, what: &str) -> Known {
        let mut state = self.state();
        if !committed(&state) {
            drop(state);
            broken(Rule::WaitBeforeCommit, &self.ivars().name, what);
        }
        while !state.finished {
            state = self.ivars().done.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state.known.clone()
    }

    pub fn finish(&self) {
        self.state().finished = true;
        self.ivars().done.notify_all();
    }
}

fn committed(state: &State) -> bool {
    state.status.0 >= Status::Committed.0
}

pub fn install() {
    SoftCommandBuffer::class();
}
