//! Blocks, in the ABI of compiler-rt's BlocksRuntime.

use crate::prelude::*;

#[repr(C)]
pub struct BlockClass([usize; 32]);
#[unsafe(no_mangle)]
pub static _NSConcreteStackBlock: BlockClass = BlockClass([0; 32]);
#[unsafe(no_mangle)]
pub static _NSConcreteGlobalBlock: BlockClass = BlockClass([0; 32]);
#[unsafe(no_mangle)]
pub static _NSConcreteMallocBlock: BlockClass = BlockClass([0; 32]);
#[repr(C)]
struct Block {
    isa: *const BlockClass,
    flags: AtomicI32,
    reserved: c_int,
    invoke: *const c_void,
    desc: *const BlockDesc,
}

#[repr(C)]
struct BlockDesc {
    reserved: usize,
    size: usize,
    copy: Option<unsafe extern "C-unwind" fn(*mut c_void, *const c_void)>,
    dispose: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
}

pub(crate) const NEEDS_FREE: i32 = 1 << 24;
const HAS_COPY: i32 = 1 << 25;
const GLOBAL: i32 = 1 << 28;
/// Blocks on the heap that nobody has released yet.
pub fn live_blocks() -> isize {
    LIVE_BLOCKS.load(SeqCst)
}

static LIVE_BLOCKS: AtomicIsize = AtomicIsize::new(0);
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _Block_copy(b: *const c_void) -> *mut c_void {
    if b.is_null() {
        return null_mut();
    }
    let s = b as *mut Block;
    let f = (*s).flags.load(SeqCst);
    if f & GLOBAL != 0 {
        return s as *mut c_void;
    }
    if f & NEEDS_FREE != 0 {
        (*s).flags.fetch_add(2, SeqCst);
        return s as *mut c_void;
    }
    let size = (*(*s).desc).size;
    let d = std::alloc::alloc(std::alloc::Layout::from_size_align(size, 16).unwrap()) as *mut Block;
    std::ptr::copy_nonoverlapping(s as *const u8, d as *mut u8, size);
    (*d).isa = &_NSConcreteMallocBlock;
    (*d).flags.store((f & !0xffff) | NEEDS_FREE | 2, SeqCst);
    if f & HAS_COPY != 0
        && let Some(copy) = (*(*s).desc).copy
    {
        copy(d as *mut c_void, b);
    }
    LIVE_BLOCKS.fetch_add(1, SeqCst);
    d as *mut c_void
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _Block_release(b: *const c_void) {
    let s = b as *mut Block;
    if b.is_null() || (*s).flags.load(SeqCst) & (GLOBAL | NEEDS_FREE) != NEEDS_FREE {
        return;
    }
    let f = (*s).flags.fetch_sub(2, SeqCst);
    assert!(f & 0xfffe != 0, "block released too often");
    if f & 0xfffe != 2 {
        return;
    }
    let size = (*(*s).desc).size;
    if f & HAS_COPY != 0
        && let Some(dispose) = (*(*s).desc).dispose
    {
        dispose(s as *mut c_void);
    }
    LIVE_BLOCKS.fetch_sub(1, SeqCst);
    std::alloc::dealloc(s as *mut u8, std::alloc::Layout::from_size_align(size, 16).unwrap());
}
