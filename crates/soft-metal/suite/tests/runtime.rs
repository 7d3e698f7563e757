//! The Objective-C runtime under a class of `define_class!`.

use objc2::rc::{Retained, Weak, autoreleasepool};
use objc2::runtime::{NSObject, NSObjectProtocol};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use objc2_foundation::{NSArray, NSString};
use std::sync::atomic::{AtomicUsize, Ordering};

static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Noisy(u32);

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "Counter"]
    #[ivars = Noisy]
    struct Counter;

    unsafe impl NSObjectProtocol for Counter {}

    impl Counter {
        #[unsafe(method(addTo:scale:))]
        fn add(&self, x: i32, scale: f64) -> f64 {
            (self.ivars().0 as i32 + x) as f64 * scale
        }

        #[unsafe(method_id(name))]
        fn name(&self) -> Retained<NSString> {
            NSString::from_str("counter")
        }
    }
);

fn counter(n: u32) -> Retained<Counter> {
    let c = Counter::alloc().set_ivars(Noisy(n));
    unsafe { msg_send![super(c), init] }
}

fn live(class: &str) -> isize {
    soft_metal::census().get(class).map_or(0, |n| n.live)
}

#[test]
fn an_object_lives_as_long_as_it_is_owned() {
    autoreleasepool(|_| {
        let c = counter(40);
        let r: f64 = unsafe { msg_send![&c, addTo: 2i32, scale: 0.5f64] };
        assert_eq!(r, 21.0);
        let name: Retained<NSString> = unsafe { msg_send![&c, name] };
        assert_eq!(name.to_string(), "counter");
        assert!(c.isKindOfClass(NSObject::class()) && c.isKindOfClass(Counter::class()));
        let (second, weak) = (c.clone(), Weak::from_retained(&c));
        let array = NSArray::from_retained_slice(&[c.clone(), second]);
        assert_eq!((array.count(), c.retainCount()), (2, 3));
        drop(array);
        assert_eq!((c.retainCount(), live("Counter")), (1, 1));
        assert!(weak.load().is_some());
        drop(c);
        assert!(weak.load().is_none());
    });
    assert_eq!((live("Counter"), live("NSString"), live("NSArray")), (0, 0, 0));
    assert!(DROPS.load(Ordering::SeqCst) > 0);
}

#[test]
#[should_panic(expected = "addTo:scale:")]
fn a_wrong_argument_type_is_caught() {
    let c = counter(1);
    let _: f64 = unsafe { msg_send![&c, addTo: 2u64, scale: 0.5f64] };
}

#[test]
#[should_panic(expected = "method not found")]
fn an_unknown_selector_is_caught() {
    let o = NSObject::new();
    let _: () = unsafe { msg_send![&o, fooBar] };
}

#[test]
fn autoreleased_objects_go_with_their_pool() {
    autoreleasepool(|_| {
        let o = NSObject::new();
        let _ = Retained::autorelease_ptr(o);
        assert_eq!(soft_metal::autoreleased(), 1);
    });
    assert_eq!(soft_metal::autoreleased(), 0);
}
