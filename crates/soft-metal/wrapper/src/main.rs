//! A `RUSTC_WRAPPER`: lets the objc2 crates build for Linux against `soft-objc`, and passes every other crate through.
//!
//! For the crates of [`table::CRATES`] it compiles a copy whose `#[link]` attributes are removed (rustc refuses frameworks
//! outside Apple's targets), selects objc2's GNUstep calling convention, and turns static class symbols off. A crate of
//! that family that the table does not know, in exactly that version, is refused.

mod arguments;
mod shadow;
mod table;

use arguments::Arguments;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(rustc) = words.next() else {
        eprintln!("soft-metal-wrapper: to be used as RUSTC_WRAPPER");
        return ExitCode::FAILURE;
    };
    match rewritten(Arguments::new(words.collect())) {
        Ok(arguments) => {
            eprintln!("soft-metal-wrapper: {rustc}: {}", Command::new(&rustc).args(arguments).exec());
        }
        Err(refusal) => eprintln!("soft-metal-wrapper: {refusal}"),
    }
    ExitCode::FAILURE
}

/// What rustc is called with.
fn rewritten(mut arguments: Arguments) -> Result<Vec<String>, String> {
    let (Some(name), Some(source)) = (arguments.crate_name(), arguments.library()) else {
        return Ok(arguments.words);
    };
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let Some(entry) = table::look_up(&name, &version)? else { return Ok(arguments.words) };
    let folder = source.trim_end_matches("/src/lib.rs");
    let shadow = shadow::of(entry, folder)?;
    arguments.replace(&source, format!("{shadow}/src/lib.rs"));
    arguments.remove_cfg("feature=\"unstable-static-class\"");
    for feature in entry.features {
        arguments.add_cfg(format!("feature=\"{feature}\""));
    }
    arguments.words.extend(["--remap-path-prefix".into(), format!("{shadow}={folder}")]);
    Ok(arguments.words)
}
