//! Loading of shared objects: one copy for each set of function constants, which it reads while it loads.

use super::build::build;
use super::rewrite::{Kernel, Unit};
use crate::gpu::lock;
use crate::library::Constant;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// Bytes of a constant in the file; as in `shim/types.h`.
const SLOT: usize = 8;
const SLOTS: usize = 512;

static LOADED: LazyLock<Mutex<HashMap<(PathBuf, Vec<u8>), usize>>> = LazyLock::new(Mutex::default);

/// The address of a kernel, specialised by constants.
pub fn load(unit: &Unit, kernel: &Kernel, constants: &[Constant]) -> Result<usize, String> {
    let object = build(unit)?;
    let values = if constants.is_empty() { vec![] } else { packed(constants)? };
    let mut loaded = lock(&LOADED);
    let key = (object, values);
    let handle = match loaded.get(&key) {
        Some(handle) => *handle,
        None => {
            let handle = open(&key.0, &key.1, loaded.len())?;
            loaded.insert(key, handle);
            handle
        }
    };
    let symbol = CString::new(kernel.symbol.as_str()).expect("no NUL in a symbol");
    // SAFETY: the handle is never closed.
    match unsafe { libc::dlsym(handle as *mut _, symbol.as_ptr()) } as usize {
        0 => Err(format!("no {} in the compiled library", kernel.symbol)),
        address => Ok(address),
    }
}

fn packed(constants: &[Constant]) -> Result<Vec<u8>, String> {
    let mut all = vec![0; SLOT * SLOTS];
    for (index, bytes) in constants {
        let slot = all.get_mut(index * SLOT..index * SLOT + bytes.len());
        slot.ok_or_else(|| format!("function constant {index}, at most {SLOTS}"))?.copy_from_slice(bytes);
    }
    Ok(all)
}

fn open(object: &Path, constants: &[u8], number: usize) -> Result<usize, String> {
    if constants.is_empty() {
        return dlopen(object);
    }
    let io = |e: std::io::Error| e.to_string();
    let copy = object.with_extension(format!("{}-{number}.so", std::process::id()));
    let values = PathBuf::from(format!("{}.fc", copy.display()));
    fs::copy(object, &copy).map_err(io)?;
    fs::write(&values, constants).map_err(io)?;
    let handle = dlopen(&copy);
    let _ = (fs::remove_file(&copy), fs::remove_file(&values));
    handle
}

fn dlopen(path: &Path) -> Result<usize, String> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: what is loaded was compiled here; its initialisers read one file.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) as usize;
        if handle == 0 { Err(CStr::from_ptr(libc::dlerror()).to_string_lossy().into_owned()) } else { Ok(handle) }
    }
}
