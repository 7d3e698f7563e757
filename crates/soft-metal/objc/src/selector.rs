//! Selectors: one interned name each, compared by address.

use crate::prelude::*;

pub struct SelData {
    pub(crate) name: CString,
}

pub type Sel = *const SelData;
pub(crate) static SELS: LazyLock<Mutex<HashMap<CString, usize>>> = LazyLock::new(Default::default);

pub fn sel(name: &CStr) -> Sel {
    let mut t = SELS.lock().unwrap();
    if let Some(&p) = t.get(name) {
        return p as Sel;
    }
    let p = Box::leak(Box::new(SelData { name: name.into() })) as *const SelData;
    t.insert(name.into(), p as usize);
    p
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sel_registerName(n: *const c_char) -> Sel {
    sel(CStr::from_ptr(n))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sel_getUid(n: *const c_char) -> Sel {
    sel(CStr::from_ptr(n))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sel_getName(s: Sel) -> *const c_char {
    (*s).name.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sel_isEqual(a: Sel, b: Sel) -> u8 {
    (a == b) as u8
}
