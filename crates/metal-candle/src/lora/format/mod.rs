//! Adapter files of other tools; key names of files appear nowhere else.

pub mod peft;
