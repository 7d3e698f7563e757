//! Weak references: slots that are set to nil when their object is deallocated.

use crate::prelude::*;

pub(crate) static WEAK: LazyLock<Mutex<HashMap<usize, Vec<usize>>>> = LazyLock::new(Default::default);
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_initWeak(slot: *mut Id, o: Id) -> Id {
    *slot = o;
    if !o.is_null() {
        WEAK.lock().unwrap().entry(o as usize).or_default().push(slot as usize);
    }
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_destroyWeak(slot: *mut Id) {
    let mut w = WEAK.lock().unwrap();
    if let Some(v) = w.get_mut(&(*slot as usize)) {
        v.retain(|&s| s != slot as usize);
    }
    *slot = null_mut();
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_loadWeakRetained(slot: *mut Id) -> Id {
    let _w = WEAK.lock().unwrap();
    let o = *slot;
    if !o.is_null() {
        rc(o).fetch_add(1, SeqCst);
    }
    o
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_copyWeak(to: *mut Id, from: *mut Id) {
    let o = objc_loadWeakRetained(from);
    objc_initWeak(to, o);
    objc_release(o);
}
