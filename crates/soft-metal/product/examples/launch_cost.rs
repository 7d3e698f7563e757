//! What a launch costs the host: `cargo xtask soft-metal launch-cost`. Software Metal answers the messages of an encoder and
//! keeps nothing of them, so that what remains is the product's, candle's and the sending of messages. Models have as many
//! blocks as the real ones, and are narrow: the host does the same for any width.

#![allow(clippy::print_stdout, dead_code)]

#[cfg(soft_metal)]
extern crate soft_metal as _;

#[path = "../tests/counts/allocations.rs"]
mod allocations;
#[path = "../tests/counts/host.rs"]
mod host;
#[path = "../tests/counts/setup.rs"]
mod setup;

use host::{Cost, of_steps, of_tokens};
use setup::{LLAMA, QWEN2, Shape};

const QWEN2_24: Shape = Shape { blocks: 24, ..QWEN2 };
const LLAMA_16: Shape = Shape { blocks: 16, ..LLAMA };

fn main() {
    println!("| | launches | allocations a launch | us a launch, median | fastest |");
    println!("|---|---|---|---|---|");
    for (name, shape) in [("Qwen2.5-0.5B", QWEN2_24), ("Llama-3.2-1B", LLAMA_16)] {
        row(name, "a token", of_tokens(shape, 100, false));
        row(name, "a token, LoRA", of_tokens(shape, 100, true));
        row(name, "a step of LoRA", of_steps(shape, 10));
    }
}

fn row(model: &str, what: &str, mut costs: Vec<Cost>) {
    costs.sort_by_key(|cost| cost.time);
    let (fastest, median) = (costs[0], costs[costs.len() / 2]);
    let [allocations, micros, least] =
        [median.allocations_a_launch(), median.micros_a_launch(), fastest.micros_a_launch()];
    println!("| {model}, {what} | {} | {allocations:.2} | {micros:.2} | {least:.2} |", median.launches);
}
