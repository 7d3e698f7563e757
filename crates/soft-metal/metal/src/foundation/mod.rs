//! Foundation, as far as Metal's interfaces need it.

mod array;
mod error;
mod number;
mod process;
mod string;

pub use array::SoftArray;
pub use error::{error, fail};
pub use number::SoftNumber;

use objc2::ClassType;

pub fn install() {
    string::SoftString::class();
    error::SoftError::class();
    SoftArray::class();
    SoftNumber::class();
    process::install();
}
