//! Instances and their reference counts.

use crate::prelude::*;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

#[repr(C)]
pub struct Object {
    pub(crate) isa: AtomicPtr<Class>,
}

pub type Id = *mut Object;

/// Stands in front of every instance.
#[repr(C, align(16))]
struct Header {
    count: AtomicIsize,
    size: usize,
}

const HEADER: usize = size_of::<Header>();

unsafe fn header(o: Id) -> *mut Header {
    (o as *mut u8).sub(HEADER) as *mut Header
}

pub(crate) unsafe fn rc(o: Id) -> &'static AtomicIsize {
    &(*header(o)).count
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.next_multiple_of(16), 16).expect("the size of an object")
}

pub(crate) unsafe fn is_class(o: Id) -> bool {
    (*isa_of(o)).meta
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_createInstance(c: *const Class, extra: usize) -> Id {
    let size = (*c).size.load(SeqCst) + extra + HEADER;
    let p = alloc_zeroed(layout(size)) as *mut Header;
    if p.is_null() {
        handle_alloc_error(layout(size));
    }
    p.write(Header { count: AtomicIsize::new(1), size });
    let o = p.add(1) as Id;
    (*o).isa.store(c as *mut Class, SeqCst);
    (*c).live.fetch_add(1, SeqCst);
    (*c).total.fetch_add(1, SeqCst);
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn object_dispose(o: Id) -> Id {
    (*isa_of(o)).live.fetch_sub(1, SeqCst);
    bury(o);
    null_mut()
}

/// Gives the memory of a buried object back.
pub(crate) unsafe fn free(o: Id) {
    let size = (*header(o)).size;
    dealloc(header(o) as *mut u8, layout(size));
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_retain(o: Id) -> Id {
    if !o.is_null() && !is_class(o) {
        check_alive(o, "retain");
        let n = rc(o).fetch_add(1, SeqCst);
        assert!(n > 0, "retain of {} during dealloc", cname(isa_of(o)));
    }
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_release(o: Id) {
    if o.is_null() || is_class(o) {
        return;
    }
    check_alive(o, "release");
    // Under the lock of the weak references, so that none is loaded between the last release and the clearing.
    let mut weak = WEAK.lock().unwrap_or_else(|e| e.into_inner());
    if rc(o).fetch_sub(1, SeqCst) == 1 {
        for slot in weak.remove(&(o as usize)).unwrap_or_default() {
            *(slot as *mut Id) = null_mut();
        }
        drop(weak);
        send0(o, c"dealloc");
    }
}
