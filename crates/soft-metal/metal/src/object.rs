//! What the software classes share: making instances, finding the instance behind a protocol object, names for messages.

use crate::gpu::lock;
use crate::rules::{Rule, broken};
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject};
use objc2::{AnyThread, ClassType, DefinedClass, msg_send};
use objc2_foundation::NSString;
use std::fmt::{Display, Formatter, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The software object behind a protocol object or a bound class; an object of any other class breaks a rule.
pub fn soft<T: ClassType, P: ?Sized>(object: &P) -> &T {
    // SAFETY: every object here begins with its class, and the class is compared before the cast is used.
    let any = unsafe { &*(object as *const P as *const AnyObject) };
    if any.class() != T::class() {
        let (given, needed) = (any.class().name(), T::class().name());
        broken(
            Rule::WrongClass,
            given.to_string_lossy(),
            format!("given where {} is needed", needed.to_string_lossy()),
        );
    }
    unsafe { &*(object as *const P as *const T) }
}

/// An instance with these instance variables.
pub fn make<T>(ivars: T::Ivars) -> Retained<T>
where
    T: DefinedClass + AnyThread + ClassType<Super = NSObject>,
{
    let object = T::alloc().set_ivars(ivars);
    // SAFETY: NSObject's init takes nothing and returns its receiver.
    unsafe { msg_send![super(object), init] }
}

/// How messages name an object: its kind, a number, and the label that the program gave it.
pub struct Name {
    kind: &'static str,
    number: u64,
    label: Mutex<String>,
}

impl Name {
    pub fn new(kind: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { kind, number: NEXT.fetch_add(1, SeqCst), label: Mutex::default() }
    }

    pub fn set_label(&self, label: Option<&NSString>) {
        *lock(&self.label) = label.map(|l| l.to_string()).unwrap_or_default();
    }

    pub fn label(&self) -> Option<Retained<NSString>> {
        let label = lock(&self.label);
        (!label.is_empty()).then(|| NSString::from_str(&label))
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.kind, self.number)?;
        let label = lock(&self.label);
        if label.is_empty() { Ok(()) } else { write!(f, " \"{label}\"") }
    }
}
