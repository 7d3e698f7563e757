//! Faults of kernels: a read or a write of a guard page, or a division by zero, ends the kernel, not the process.

use super::launch::Context;
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// How a kernel went wrong.
#[derive(Clone, Copy)]
pub enum Fault {
    Outside {
        address: usize,
        write: bool,
    },
    /// The place is right, but not its alignment for a vector type.
    Misaligned,
    /// Of integers, by zero.
    Division,
}

/// `si_code` of what the processor does not give an address for.
const SI_KERNEL: i32 = 0x80;

thread_local! {
    static RUNNING: Cell<*mut Context> = const { Cell::new(null_mut()) };
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    static STACK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Signals that faults of kernels raise, and what was done about them before.
static PREVIOUS: [(i32, AtomicPtr<libc::sigaction>); 2] =
    [(libc::SIGSEGV, AtomicPtr::new(null_mut())), (libc::SIGFPE, AtomicPtr::new(null_mut()))];

unsafe extern "C" {
    fn siglongjmp(buffer: *mut u8, value: i32) -> !;
}

/// Runs `f`, which sets the escape of the context before it does anything that may fault.
pub fn guarded<R>(context: &mut Context, f: impl FnOnce(*mut Context) -> R) -> (R, Option<Fault>) {
    prepare();
    FAULT.set(None);
    let context: *mut Context = context;
    RUNNING.set(context);
    let result = f(context);
    RUNNING.set(null_mut());
    (result, FAULT.take())
}

/// Fibers have small stacks, and the handler must not need one that has overflowed.
fn prepare() {
    const SIZE: usize = 64 << 10;
    static ONCE: Once = Once::new();
    STACK.with_borrow_mut(|stack| {
        if stack.is_empty() {
            stack.resize(SIZE, 0);
            let alternate = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
            // SAFETY: the memory lives as long as the thread.
            unsafe { libc::sigaltstack(&alternate, null_mut()) };
        }
    });
    ONCE.call_once(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for (signal, before) in &PREVIOUS {
            let previous = Box::leak(Box::new(std::mem::zeroed()));
            before.store(previous, SeqCst);
            libc::sigaction(*signal, &action, previous);
        }
    });
}

/// Only a fault inside a kernel is ours; it happens in code that holds no lock and owns nothing.
unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, machine: *mut libc::c_void) {
    let context = RUNNING.replace(null_mut());
    if context.is_null() {
        // As before: the handler that was there, or death at the next try.
        for (_, previous) in PREVIOUS.iter().filter(|(known, _)| *known == signal) {
            libc::sigaction(signal, previous.load(SeqCst), null_mut());
        }
        return;
    }
    let error = (*(machine as *const libc::ucontext_t)).uc_mcontext.gregs[libc::REG_ERR as usize];
    let fault = match (signal, (*info).si_code) {
        (libc::SIGFPE, _) => Fault::Division,
        (_, SI_KERNEL) => Fault::Misaligned,
        _ => Fault::Outside { address: (*info).si_addr() as usize, write: error & 2 != 0 },
    };
    escape(context, fault)
}

/// What a kernel calls before it touches what lies between a buffer and its guard page.
pub unsafe extern "C" fn outside(context: *mut Context, address: usize, write: bool) -> ! {
    RUNNING.set(null_mut());
    escape(context, Fault::Outside { address, write })
}

unsafe fn escape(context: *mut Context, fault: Fault) -> ! {
    FAULT.set(Some(fault));
    siglongjmp(&raw mut (*context).escape.0 as *mut u8, 1)
}
