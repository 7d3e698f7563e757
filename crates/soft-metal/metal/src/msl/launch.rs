//! Running a kernel over its grid.

use super::fault::{self, Fault};
use crate::gpu::{Failure, lock};
use crate::memory;
use crate::rules::Rule;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};

/// What a dispatch asks for.
pub struct Launch {
    pub entry: usize,
    /// Of the whole grid.
    pub threads: [u32; 3],
    /// Of one threadgroup.
    pub group: [u32; 3],
    /// Bytes of threadgroup memory, by index.
    pub threadgroup: [u32; 32],
}

/// What a kernel is called with, by index.
#[derive(Clone, Copy, Default)]
pub struct Buffers {
    pub pointers: [usize; 32],
    /// Where the memory behind a pointer ends, if it ends before a guard page.
    pub ends: [usize; 32],
}

/// As `soft::Ctx` in `shim/launch.h`.
#[repr(C)]
pub struct Context {
    buffers: [usize; 32],
    threadgroup_len: [u32; 32],
    threads: [u32; 3],
    group: [u32; 3],
    seed: u64,
    at_group: [u32; 3],
    at_thread: [u32; 3],
    /// Where each buffer ends; 0 where there is none.
    ends: [usize; 32],
    /// Called instead of an access behind one of them.
    outside: unsafe extern "C" fn(*mut Context, usize, bool) -> !,
    /// A `sigjmp_buf`, filled by the launcher: where a fault goes on.
    pub escape: Escape,
    scratch: [u64; 64],
}

#[repr(C, align(16))]
pub struct Escape(pub [u8; 512]);

/// The order of threads and threadgroups follows from it. `SOFT_METAL_SEED` repeats an order that was printed.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("SOFT_METAL_SEED").ok().and_then(|s| s.parse().ok());
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| clock.map_or(1, |d| d.as_nanos() as u64 % 1_000_000_007));
        eprintln!("soft-metal: order of threads by SOFT_METAL_SEED={seed}");
        seed
    })
}

/// Runs to the end, or to the first error.
pub fn launch(launch: &Launch, buffers: Buffers) -> Result<(), Failure> {
    // Static threadgroup memory is the library's: one kernel at a time.
    static GPU: Mutex<()> = Mutex::new(());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let _gpu = lock(&GPU);
    let mut context = Context {
        buffers: buffers.pointers,
        threadgroup_len: launch.threadgroup,
        threads: launch.threads,
        group: launch.group,
        seed: seed().wrapping_add(COUNT.fetch_add(1, SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1,
        at_group: [0; 3],
        at_thread: [0; 3],
        ends: buffers.ends,
        outside: fault::outside,
        escape: Escape([0; 512]),
        scratch: [0; 64],
    };
    // SAFETY: the entry point was compiled for this context; its library is never unloaded.
    let (error, fault) = unsafe {
        let entry: unsafe extern "C" fn(*mut Context) -> *const c_char = std::mem::transmute(launch.entry);
        fault::guarded(&mut context, |c| entry(c))
    };
    let place = format!("thread {:?} of threadgroup {:?}, seed {}", context.at_thread, context.at_group, seed());
    match fault {
        Some(fault) => Err(failure_of(fault, &place)),
        None if error.is_null() => Ok(()),
        // SAFETY: a string literal of the launcher.
        None => {
            let text = format!("{}, {place}", unsafe { CStr::from_ptr(error) }.to_string_lossy());
            Err(Failure { rule: Rule::DifferentBarriers, text })
        }
    }
}

fn failure_of(fault: Fault, place: &str) -> Failure {
    match fault {
        Fault::Misaligned => Failure { rule: Rule::Misaligned, text: place.into() },
        Fault::Division => Failure { rule: Rule::DivisionByZero, text: place.into() },
        Fault::Outside { address, write } => {
            let verb = if write { "writes" } else { "reads" };
            let text = format!("{verb} {}, by {place}", memory::describe(address));
            Failure { rule: Rule::KernelOutOfBounds, text }
        }
    }
}
