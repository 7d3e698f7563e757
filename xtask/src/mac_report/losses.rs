//! Losses of the same training on the CPU and on the GPU, side by side.

use std::fmt::Write;
use std::path::Path;

/// Name of a loss in `metrics.jsonl`.
const KEY: &str = "\"train_loss\":";

/// A section of the report, of what the trainings left below `work`.
pub fn section(work: &Path) -> String {
    let read = |folder| std::fs::read_to_string(work.join(folder).join("metrics.jsonl"));
    let [cpu, gpu] =
        ["adapter-cpu", "adapter-metal"].map(|folder| losses(&read(folder).unwrap_or_default()));
    table(&cpu, &gpu)
}

/// Losses in the lines of a `metrics.jsonl`, in their order.
fn losses(metrics: &str) -> Vec<f64> {
    let loss = |line: &str| {
        let (_, rest) = line.split_once(KEY)?;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    metrics.lines().filter_map(loss).collect()
}

fn table(cpu: &[f64], gpu: &[f64]) -> String {
    let mut text = format!(
        "\n## losses of training: {} by the CPU, {} by the GPU\n\n",
        cpu.len(),
        gpu.len()
    );
    text += "| report | CPU | GPU | GPU / CPU - 1 |\n|--:|--:|--:|--:|\n";
    for (i, (cpu, gpu)) in cpu.iter().zip(gpu).enumerate() {
        let _ = writeln!(
            text,
            "| {} | {cpu:.6} | {gpu:.6} | {:.1e} |",
            i + 1,
            gpu / cpu - 1.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_stand_beside_each_other() {
        let cpu = losses(
            "{\"step\":1,\"train_loss\":4.0,\"tokens\":7}\n{\"val_loss\":1}\n{\"train_loss\": 2.5}\n",
        );
        assert_eq!(cpu, [4.0, 2.5]);
        let text = table(&cpu, &[4.004]);
        assert!(
            text.contains("2 by the CPU, 1 by the GPU")
                && text.contains("| 1 | 4.000000 | 4.004000 | 1.0e-3 |"),
            "{text}"
        );
    }
}
