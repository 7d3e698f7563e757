//! `NSObject`, the root class.

use crate::prelude::*;

pub(crate) fn ensure_root() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| unsafe {
        let meta = new_class(c"NSObject", null(), null_mut(), true);
        let cls = new_class(c"NSObject", null(), meta, false);
        (*meta).isa.store(meta, SeqCst);
        (*(meta)).superclass = cls; // class methods fall back to NSObject's instance methods
        macro_rules! m { ($c:expr, $($n:literal $t:literal $f:expr),* $(,)?) => {$(
            class_addMethod($c, sel($n), std::mem::transmute::<*const c_void, Imp>($f as *const c_void), ($t).as_ptr());
        )*} }
        m!(meta, c"alloc" c"@@:" cls_alloc, c"allocWithZone:" c"@@:^v" cls_alloc, c"new" c"@@:" cls_new, c"class" c"#@:" this,
            c"superclass" c"#@:" cls_super, c"instancesRespondToSelector:" c"C@::" cls_inst_responds);
        m!(cls, c"init" c"@@:" this, c"self" c"@@:" this, c"class" c"#@:" obj_class, c"superclass" c"#@:" obj_super,
            c"retain" c"@@:" objc_retain, c"release" c"v@:" objc_release, c"autorelease" c"@@:" objc_autorelease,
            c"retainCount" c"Q@:" obj_rc, c"dealloc" c"v@:" obj_dealloc, c"hash" c"Q@:" obj_hash, c"isEqual:" c"C@:@" obj_eq,
            c"isKindOfClass:" c"C@:#" obj_kind, c"isMemberOfClass:" c"C@:#" obj_member, c"respondsToSelector:" c"C@::" obj_responds,
            c"conformsToProtocol:" c"C@:@" obj_conforms, c"isProxy" c"C@:" obj_no, c"copy" c"@@:" obj_copy, c"mutableCopy" c"@@:" obj_mcopy,
            c"description" c"@@:" obj_desc, c"debugDescription" c"@@:" obj_desc, c"doesNotRecognizeSelector:" c"v@::" obj_dnr);
        (*cls).registered.store(true, SeqCst);
        CLASSES.write().unwrap().insert(c"NSObject".into(), cls as usize);
    });
}

pub(crate) unsafe extern "C-unwind" fn this(o: Id, _: Sel) -> Id {
    o
}

pub(crate) unsafe extern "C-unwind" fn cls_alloc(c: Id, _: Sel) -> Id {
    class_createInstance(c as *const Class, 0)
}

pub(crate) unsafe extern "C-unwind" fn cls_new(c: Id, _: Sel) -> Id {
    send0(send0(c, c"alloc"), c"init")
}

pub(crate) unsafe extern "C-unwind" fn cls_super(c: Id, _: Sel) -> *const Class {
    (*(c as *const Class)).superclass
}

pub(crate) unsafe extern "C-unwind" fn cls_inst_responds(c: Id, _: Sel, s: Sel) -> u8 {
    find_method(c as *const Class, s).is_some() as u8
}

pub(crate) unsafe extern "C-unwind" fn obj_class(o: Id, _: Sel) -> *const Class {
    isa_of(o)
}

pub(crate) unsafe extern "C-unwind" fn obj_super(o: Id, _: Sel) -> *const Class {
    (*isa_of(o)).superclass
}

pub(crate) unsafe extern "C-unwind" fn obj_rc(o: Id, _: Sel) -> usize {
    rc(o).load(SeqCst) as usize
}

pub(crate) unsafe extern "C-unwind" fn obj_dealloc(o: Id, _: Sel) {
    object_dispose(o);
}

pub(crate) unsafe extern "C-unwind" fn obj_hash(o: Id, _: Sel) -> usize {
    o as usize
}

pub(crate) unsafe extern "C-unwind" fn obj_eq(o: Id, _: Sel, p: Id) -> u8 {
    (o == p) as u8
}

pub(crate) unsafe extern "C-unwind" fn obj_kind(o: Id, _: Sel, c: *const Class) -> u8 {
    let mut k = isa_of(o);
    while !k.is_null() {
        if k == c {
            return 1;
        }
        k = (*k).superclass;
    }
    0
}

pub(crate) unsafe extern "C-unwind" fn obj_member(o: Id, _: Sel, c: *const Class) -> u8 {
    (isa_of(o) == c) as u8
}

pub(crate) unsafe extern "C-unwind" fn obj_responds(o: Id, _: Sel, s: Sel) -> u8 {
    find_method(isa_of(o), s).is_some() as u8
}

pub(crate) unsafe extern "C-unwind" fn obj_conforms(_: Id, _: Sel, _: Id) -> u8 {
    1
}

pub(crate) unsafe extern "C-unwind" fn obj_no(_: Id, _: Sel) -> u8 {
    0
}

pub(crate) unsafe extern "C-unwind" fn obj_copy(o: Id, _: Sel) -> Id {
    send0(o, c"copyWithZone:")
}

pub(crate) unsafe extern "C-unwind" fn obj_mcopy(o: Id, _: Sel) -> Id {
    send0(o, c"mutableCopyWithZone:")
}

pub(crate) unsafe extern "C-unwind" fn obj_dnr(o: Id, _: Sel, s: Sel) {
    panic!("-[{} {}]: doesNotRecognizeSelector", cname(isa_of(o)), (*s).name.to_string_lossy())
}

pub(crate) unsafe extern "C-unwind" fn obj_desc(o: Id, _: Sel) -> Id {
    let text = format!("<{}: {o:p}>", cname(isa_of(o)));
    let c = objc_lookUpClass(c"NSString".as_ptr()) as Id;
    assert!(!c.is_null(), "no NSString class");
    let s = send0(c, c"alloc");
    let q = sel(c"initWithBytes:length:encoding:");
    let f: unsafe extern "C-unwind" fn(Id, Sel, *const u8, usize, usize) -> Id =
        std::mem::transmute(lookup(isa_of(s), q).unwrap());
    objc_autorelease(f(s, q, text.as_ptr(), text.len(), 4))
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn objc_exception_throw(e: Id) -> ! {
    panic!("Objective-C exception {} thrown", cname(isa_of(e)))
}
