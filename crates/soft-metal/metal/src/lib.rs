//! Software stand-ins for the Metal and Metal Performance Shaders classes, computed on the CPU, with Apple's rules
//! enforced. What this does not show is in `docs/soft-metal.md`: nothing that runs here has been tested on Metal.
#![allow(non_snake_case)]

mod buffer;
mod command_buffer;
mod counts;
mod device;
mod encoder;
mod event;
mod foundation;
mod gpu;
mod guard;
mod launches;
mod library;
mod memory;
mod mps;
pub mod msl;
mod object;
mod queue;
mod record;
mod residency;
mod rules;

pub use counts::{Counts, Language, Launches, take_counts};
pub use device::set_architecture;
pub use encoder::without_launches;
pub use gpu::drain;
pub use gpu::fault::{fail_command_buffer, forget_failure};
pub use guard::Guard;
pub use rules::{Rule, Violation, take_violations, take_warnings};
pub use soft_objc::{autoreleased, census, live_blocks};

/// Registers every class before `main`, so that look-ups by name find them.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;

extern "C" fn install() {
    foundation::install();
    device::install();
    buffer::install();
    event::install();
    residency::install();
    queue::install();
    command_buffer::install();
    encoder::install();
    library::install();
    mps::install();
}

/// Classes with live instances, and how many.
pub fn live() -> Vec<(String, isize)> {
    census().into_iter().filter(|(_, n)| n.live != 0).map(|(class, n)| (class, n.live)).collect()
}
