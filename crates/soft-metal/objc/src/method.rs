//! Methods: how they are added to a class, found, and described.

use crate::prelude::*;

pub struct Method {
    pub(crate) sel: Sel,
    pub(crate) imp: AtomicPtr<c_void>,
    pub(crate) types: CString,
}

pub(crate) unsafe fn find_method(mut c: *const Class, s: Sel) -> Option<&'static Method> {
    while !c.is_null() {
        if let Some(m) = (*c).methods.read().unwrap().get(&(s as usize)) {
            return Some(m);
        }
        c = (*c).superclass;
    }
    None
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_addMethod(c: *mut Class, s: Sel, imp: Imp, t: *const c_char) -> u8 {
    let mut m = (*c).methods.write().unwrap();
    if m.contains_key(&(s as usize)) {
        return 0;
    }
    m.insert(
        s as usize,
        Box::leak(Box::new(Method {
            sel: s,
            imp: AtomicPtr::new(imp as *mut c_void),
            types: CStr::from_ptr(t).into(),
        })),
    );
    1
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn class_getInstanceMethod(c: *const Class, s: Sel) -> *const Method {
    find_method(c, s).map_or(null(), |m| m)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn class_getClassMethod(c: *const Class, s: Sel) -> *const Method {
    class_getInstanceMethod((*c).isa.load(SeqCst), s)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn class_respondsToSelector(c: *const Class, s: Sel) -> u8 {
    find_method(c, s).is_some() as u8
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_getName(m: *const Method) -> Sel {
    (*m).sel
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_getTypeEncoding(m: *const Method) -> *const c_char {
    (*m).types.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_getImplementation(m: *const Method) -> *mut c_void {
    (*m).imp.load(SeqCst)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_setImplementation(m: *const Method, imp: *mut c_void) -> *mut c_void {
    (*m).imp.swap(imp, SeqCst)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_getNumberOfArguments(m: *const Method) -> c_uint {
    split_types(&(*m).types).len() as c_uint - 1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_copyReturnType(m: *const Method) -> *mut c_char {
    dup(&split_types(&(*m).types)[0])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn method_copyArgumentType(m: *const Method, i: c_uint) -> *mut c_char {
    split_types(&(*m).types).get(i as usize + 1).map_or(null_mut(), |t| dup(t))
}
