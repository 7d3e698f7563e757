//! Plans on a GPU, against the interpreter.
#![cfg(any(target_vendor = "apple", soft_metal))]
