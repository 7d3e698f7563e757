//! The program `metal-candle-bench` with `--device metal` on Linux. It fails at its end if a rule of Metal was broken, or if an
//! object of Metal is left.

fn main() -> std::process::ExitCode {
    let _guard = soft_metal::Guard::new();
    let exit = metal_candle_bench::main();
    metal_candle_kernels::release();
    exit
}
