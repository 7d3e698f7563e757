//! Mark of a tensor file whose adapter began as a part of its weights.
//!
//! It holds the plain LoRA that every tool knows, of twice the rank: the factors that are trained, and behind them those
//! that they began as, of which `B` has the other sign. The mark says so to who goes on with the training; other tools
//! read past it.

use crate::lora::Init;
use std::collections::HashMap;

/// Name of the entry in the header.
const INIT: &str = "metal_candle.init_lora_weights";

/// Entries for the header of a file.
pub(super) fn mark(init: Init) -> Vec<(String, String)> {
    match init.is_of_weight() {
        true => vec![(INIT.into(), init.name())],
        false => vec![],
    }
}

/// How factors began, by the entries of a header.
pub(super) fn init(header: &HashMap<String, String>) -> Option<Init> {
    let init = Init::of_name(header.get(INIT)?)?;
    init.is_of_weight().then_some(init)
}
