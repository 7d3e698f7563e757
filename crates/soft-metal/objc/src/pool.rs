//! Autorelease pools, one stack per thread, and the hand-over of return values that keeps them short.

use crate::prelude::*;

#[derive(Default)]
pub(crate) struct Pools {
    stack: Vec<Id>,
    marks: Vec<usize>,
}

impl Drop for Pools {
    fn drop(&mut self) {
        for o in std::mem::take(&mut self.stack) {
            unsafe { objc_release(o) }
        }
    }
} // like Apple's: drained when the thread ends
thread_local! {
    static POOLS: RefCell<Pools> = RefCell::default();
    static RETURNED: Cell<Id> = const { Cell::new(null_mut()) }; // hand-over slot of objc_autoreleaseReturnValue
}

pub(crate) unsafe fn flush_returned() {
    let o = RETURNED.replace(null_mut());
    if !o.is_null() {
        POOLS.with(|p| p.borrow_mut().stack.push(o));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_autorelease(o: Id) -> Id {
    if !o.is_null() && !is_class(o) {
        POOLS.with(|p| p.borrow_mut().stack.push(o));
    }
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_autoreleaseReturnValue(o: Id) -> Id {
    flush_returned();
    if !o.is_null() && !is_class(o) {
        RETURNED.set(o);
    }
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_retainAutoreleaseReturnValue(o: Id) -> Id {
    objc_autoreleaseReturnValue(objc_retain(o))
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_retainAutorelease(o: Id) -> Id {
    objc_autorelease(objc_retain(o))
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_retainAutoreleasedReturnValue(o: Id) -> Id {
    if !o.is_null() && RETURNED.get() == o {
        RETURNED.set(null_mut());
        return o;
    }
    flush_returned();
    objc_retain(o)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_autoreleasePoolPush() -> *mut c_void {
    flush_returned();
    POOLS.with(|p| {
        let mut p = p.borrow_mut();
        let n = p.stack.len();
        p.marks.push(n);
        p.marks.len() as *mut c_void
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_autoreleasePoolPop(pool: *mut c_void) {
    flush_returned();
    let n = POOLS.with(|p| {
        let mut p = p.borrow_mut();
        let i = pool as usize - 1;
        assert!(i < p.marks.len(), "pool popped twice");
        let n = p.marks[i];
        p.marks.truncate(i);
        n
    });
    while let Some(o) = POOLS.with(|p| {
        let mut p = p.borrow_mut();
        if p.stack.len() > n { p.stack.pop() } else { None }
    }) {
        objc_release(o);
    }
}

/// Objects waiting in this thread's pools (0 marks = they would stay until the thread ends).
pub fn autoreleased() -> usize {
    unsafe { flush_returned() };
    POOLS.with(|p| p.borrow().stack.len())
}
