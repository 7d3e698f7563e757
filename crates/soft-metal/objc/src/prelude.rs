//! What every file of the runtime works with.

pub(crate) use crate::class::*;
pub(crate) use crate::message::*;
pub(crate) use crate::method::*;
pub(crate) use crate::nsobject::*;
pub(crate) use crate::object::*;
pub(crate) use crate::pool::*;
pub(crate) use crate::selector::*;
pub(crate) use crate::types::*;
pub(crate) use crate::weak::*;
pub(crate) use crate::zombie::*;
pub(crate) use std::cell::{Cell, RefCell};
pub(crate) use std::collections::{BTreeMap, HashMap, VecDeque};
pub(crate) use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
pub(crate) use std::ptr::{null, null_mut};
pub(crate) use std::sync::atomic::Ordering::SeqCst;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI32, AtomicIsize, AtomicPtr, AtomicUsize};
pub(crate) use std::sync::{LazyLock, Mutex, RwLock};

/// The implementation of a method, cast to its real signature by whoever calls it.
pub type Imp = unsafe extern "C-unwind" fn();
