//! `metal-candle-bench`: see the library of this package.

fn main() -> std::process::ExitCode {
    metal_candle_bench::main()
}
