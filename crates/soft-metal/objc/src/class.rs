//! Classes: pairs of class and metaclass, instance variables, registration by name.

use crate::prelude::*;

pub struct Ivar {
    pub(crate) name: CString,
    pub(crate) types: CString,
    pub(crate) offset: usize,
}

#[repr(C)]
pub struct Class {
    pub(crate) isa: AtomicPtr<Class>, // metaclass; a metaclass points to the root metaclass
    pub(crate) superclass: *const Class,
    pub(crate) name: CString,
    pub(crate) meta: bool,
    pub(crate) size: AtomicUsize,
    pub(crate) methods: RwLock<HashMap<usize, &'static Method>>,
    pub(crate) ivars: RwLock<Vec<&'static Ivar>>,
    pub(crate) live: AtomicIsize,
    pub(crate) total: AtomicUsize,
    pub(crate) registered: AtomicBool,
}

unsafe impl Send for Class {}
unsafe impl Sync for Class {}
pub(crate) static CLASSES: LazyLock<RwLock<BTreeMap<CString, usize>>> = LazyLock::new(|| RwLock::new(BTreeMap::new()));
pub(crate) fn new_class(name: &CStr, superclass: *const Class, isa: *mut Class, meta: bool) -> *mut Class {
    let size = if superclass.is_null() { 8 } else { unsafe { (*superclass).size.load(SeqCst) } };
    Box::leak(Box::new(Class {
        isa: AtomicPtr::new(isa),
        superclass,
        name: name.into(),
        meta,
        size: AtomicUsize::new(size),
        methods: Default::default(),
        ivars: Default::default(),
        live: AtomicIsize::new(0),
        total: AtomicUsize::new(0),
        registered: AtomicBool::new(false),
    }))
}

pub(crate) unsafe fn cname(c: *const Class) -> String {
    (*c).name.to_string_lossy().into_owned()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_lookUpClass(n: *const c_char) -> *const Class {
    ensure_root();
    CLASSES.read().unwrap().get(CStr::from_ptr(n)).map_or(null(), |&c| c as *const Class)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_getClass(n: *const c_char) -> *const Class {
    objc_lookUpClass(n)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_allocateClassPair(sup: *const Class, n: *const c_char, _extra: usize) -> *mut Class {
    ensure_root();
    if !objc_lookUpClass(n).is_null() {
        return null_mut();
    }
    let n = CStr::from_ptr(n);
    let root_meta = (*(objc_lookUpClass(c"NSObject".as_ptr()))).isa.load(SeqCst);
    let meta = new_class(n, (*sup).isa.load(SeqCst), root_meta, true);
    new_class(n, sup, meta, false)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_registerClassPair(c: *mut Class) {
    (*c).registered.store(true, SeqCst);
    CLASSES.write().unwrap().insert((*c).name.clone(), c as usize);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_disposeClassPair(c: *mut Class) {
    CLASSES.write().unwrap().remove(&(*c).name);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_addIvar(
    c: *mut Class,
    n: *const c_char,
    size: usize,
    align: u8,
    t: *const c_char,
) -> u8 {
    let n = CStr::from_ptr(n);
    let mut v = (*c).ivars.write().unwrap();
    if v.iter().any(|i| i.name.as_c_str() == n) {
        return 0;
    }
    let a = 1usize << align;
    assert!(a <= 16, "ivar alignment {a} not supported");
    let offset = (*c).size.load(SeqCst).next_multiple_of(a);
    (*c).size.store(offset + size, SeqCst);
    v.push(Box::leak(Box::new(Ivar { name: n.into(), types: CStr::from_ptr(t).into(), offset })));
    1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_getInstanceVariable(mut c: *const Class, n: *const c_char) -> *const Ivar {
    let n = CStr::from_ptr(n);
    while !c.is_null() {
        if let Some(i) = (*c).ivars.read().unwrap().iter().find(|i| i.name.as_c_str() == n) {
            return *i;
        }
        c = (*c).superclass;
    }
    null()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ivar_getOffset(i: *const Ivar) -> isize {
    (*i).offset as isize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ivar_getName(i: *const Ivar) -> *const c_char {
    (*i).name.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ivar_getTypeEncoding(i: *const Ivar) -> *const c_char {
    (*i).types.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_getName(c: *const Class) -> *const c_char {
    if c.is_null() { c"nil".as_ptr() } else { (*c).name.as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_getSuperclass(c: *const Class) -> *const Class {
    if c.is_null() { c } else { (*c).superclass }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_getInstanceSize(c: *const Class) -> usize {
    (*c).size.load(SeqCst)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_isMetaClass(c: *const Class) -> u8 {
    (*c).meta as u8
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn object_getClass(o: *const Object) -> *const Class {
    if o.is_null() { null() } else { isa_of(o) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn object_getClassName(o: *const Object) -> *const c_char {
    class_getName(object_getClass(o))
}
