//! Values of options, as clap has them read.

use crate::numbers;
use serde_json::{Map, Value};

/// An object of JSON.
pub fn object(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

/// A temperature may be ever so small: what is 0 in float32 takes the most likely token.
pub fn not_negative(text: &str) -> std::result::Result<f32, String> {
    let parsed = text
        .parse()
        .ok()
        .filter(|x: &f32| x.is_finite() && *x >= 0.0);
    parsed.ok_or("expected a number, 0 or more, of at most 3.4e38".into())
}

/// A number from 0 to 1.
pub fn share(text: &str) -> std::result::Result<f32, String> {
    numbers::share(text).map(|x| x as f32)
}

/// A threshold that more than one token can be over.
pub fn half(text: &str) -> std::result::Result<f32, String> {
    let parsed = share(text).ok().filter(|x| *x <= 0.5);
    parsed.ok_or("must be a number from 0 to 0.5".into())
}

/// A number over 0.
pub fn positive(text: &str) -> std::result::Result<f32, String> {
    numbers::positive(text).map(|x| x as f32)
}
