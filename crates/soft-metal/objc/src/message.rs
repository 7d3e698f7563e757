//! Message sends, as the GNUstep ABI does them: `objc_msg_lookup` gives the function, the caller calls it. No assembly is
//! needed for that, which is why this ABI was chosen.

use crate::prelude::*;

pub(crate) unsafe fn isa_of(o: *const Object) -> *const Class {
    (*o).isa.load(SeqCst)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_msg_lookup(o: Id, s: Sel) -> Option<Imp> {
    lookup(isa_of(o), s)
}

#[repr(C)]
pub struct Super {
    pub(crate) receiver: Id,
    pub(crate) class: *const Class,
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_msg_lookup_super(sup: *const Super, s: Sel) -> Option<Imp> {
    lookup((*sup).class, s)
}

pub(crate) unsafe fn lookup(c: *const Class, s: Sel) -> Option<Imp> {
    match find_method(c, s) {
        Some(m) => Some(std::mem::transmute::<*mut c_void, Imp>(m.imp.load(SeqCst))),
        None => unrecognized(c, &(*s).name.to_string_lossy()),
    }
}

unsafe fn unrecognized(c: *const Class, selector: &str) -> ! {
    if let Some(class) = was(c) {
        panic!("Metal rule broken (use after release): message {selector} to a deallocated {class}");
    }
    let kind = if (*c).meta { '+' } else { '-' };
    panic!("{kind}[{} {selector}]: unrecognized selector (not in the software stand-in)", cname(c));
}

pub(crate) unsafe fn send0(o: Id, s: &CStr) -> Id {
    let f: unsafe extern "C-unwind" fn(Id, Sel) -> Id = std::mem::transmute(lookup(isa_of(o), sel(s)).unwrap());
    f(o, sel(s))
}
