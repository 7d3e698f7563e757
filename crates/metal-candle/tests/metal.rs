//! The golden models and the trainer's tests on an Apple GPU: on a Mac, and in crates/soft-metal on
//! Metal in software, with the same expectations and tolerances as on the CPU. On other machines
//! nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(soft_metal)]
#[path = "support/failures.rs"]
mod failures;
#[path = "trainer/run/mod.rs"]
mod run;
mod support;

use candle_core::{Device, Tensor, Var};
use std::io::Write;
use std::ops::Deref;
use support::{activations, decay, gguf, models, optimizers, preference, quantized, training};

/// A GPU. On Metal in software, what is made before it goes must be gone by then, with no rule broken.
fn device() -> Gpu {
    if let Some(reason) = metal_candle_mps::apple::obstacle(0) {
        leave_out(&reason);
    }
    #[cfg(soft_metal)]
    let guard = soft_metal::Guard::new();
    Gpu {
        device: Device::new_metal(0).unwrap(),
        _kernels: Kernels,
        #[cfg(soft_metal)]
        _guard: guard,
    }
}

/// Ends the process: none of these tests can run here. Not by `eprintln`, which a test that
/// passes keeps to itself.
fn leave_out(reason: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "crates/metal-candle/tests/metal.rs is left out: {reason}"
    );
    std::process::exit(0)
}

/// Fields go in this order.
struct Gpu {
    device: Device,
    _kernels: Kernels,
    #[cfg(soft_metal)]
    _guard: soft_metal::Guard,
}

impl Deref for Gpu {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

/// What was compiled.
struct Kernels;

impl Drop for Kernels {
    fn drop(&mut self) {
        metal_candle_kernels::release();
    }
}

#[test]
fn logits_equal_transformers() {
    models::logits_equal_transformers(&device());
}

#[test]
fn adapter_logits_equal_peft_beside_and_merged() {
    models::adapter_logits_equal_peft_beside_and_merged(&device());
}

#[test]
fn adapter_gradients_equal_pytorch() {
    models::adapter_gradients_equal_pytorch(&device());
}

#[test]
fn packed_sequences_compute_what_each_does_alone() {
    models::packed_sequences_compute_what_each_does_alone(&device());
}

#[test]
fn greedy_tokens_equal_transformers_with_and_without_cache() {
    models::greedy_tokens_equal_transformers_with_and_without_cache(&device());
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    let gpu = device();
    for run in ["qwen2/train", "qwen3/train", "qwen2/train-dora"] {
        for variant in ["full", "masked"] {
            training::ten_losses_and_the_final_adapter_equal_peft(run, variant, &gpu);
        }
    }
}

#[test]
fn accumulated_gradients_equal_pytorch_for_every_split() {
    for run in ["qwen2/train", "qwen2/train-dora"] {
        training::accumulated_gradients_equal_pytorch_for_every_split(run, &device());
    }
}

#[test]
fn gradients_of_preferences_equal_trl() {
    preference::gradients_equal_trl(&device());
}

#[test]
fn optimizers_step_as_their_libraries() {
    let gpu = device();
    decay::every_rule_decays_what_decays(&gpu);
    decay::three_steps_of_all_weights_equal_transformers_groups(&gpu);
    training::three_steps_of_lora_plus_equal_peft(&gpu);
    optimizers::rules_of_pytorch(&gpu);
    optimizers::adam_of_mlx(&gpu);
    optimizers::momentum_of_mlx(&gpu);
    optimizers::adafactor_of_mlx(&gpu);
    optimizers::moments_in_eight_bits_are_those_of_bitsandbytes(&gpu);
}

#[test]
fn packed_rows_train_as_padded_ones() {
    training::packed_rows_train_as_padded_ones(&device());
}

#[test]
fn activations_of_sixteen_bits_cost_no_more_than_in_pytorch() {
    let names = ["qwen2-bf16", "llama3", "gemma2"].map(String::from);
    activations::cost_no_more_than_in_pytorch(&names, &device());
}

#[test]
fn activations_of_sixteen_bits_train() {
    activations::ten_losses_are_near_those_of_float32("qwen2/train-dora", &device());
}

#[test]
fn activations_of_sixteen_bits_are_cached() {
    for name in ["qwen2-bf16", "gemma3", "mlx-4bit", "bnb-nf4"] {
        activations::are_cached(name, &device());
    }
}

#[test]
fn keys_of_a_file_give_the_logits_of_mlx() {
    quantized::logits_behind_a_file_of_keys_equal_mlx(&device());
}

#[test]
fn a_bounded_cache_gives_the_logits_of_mlx() {
    quantized::logits_of_a_bounded_cache_equal_mlx("mlx-4bit", &device());
}

#[test]
fn a_quantized_checkpoint_generates_as_mlx() {
    quantized::logits_and_greedy_tokens_equal_the_owners("mlx-4bit", &device());
}

#[test]
fn a_quantized_checkpoint_trains_as_mlx() {
    quantized::loss_and_gradients_of_an_adapter_equal_mlx("mlx-4bit", &device());
}

#[test]
fn packed_checkpoints_generate_as_their_owners() {
    let names = [
        "mlx-mxfp4",
        "bnb-nf4",
        "bnb-fp4",
        "bnb-int8",
        "fp8",
        "zero-point/gptq",
        "zero-point/awq",
        "zero-point/compressed-tensors",
    ];
    for name in names {
        quantized::logits_and_greedy_tokens_equal_the_owners(name, &device());
    }
}

#[test]
fn packed_checkpoints_train_as_mlx_and_peft() {
    quantized::ten_losses_equal_mlx("mlx-mxfp4", &device());
    for run in ["bnb-nf4/train", "fp8/train", "zero-point/gptq/train"] {
        training::ten_losses_and_the_final_adapter_equal_peft(run, "full", &device());
    }
}

#[test]
fn packed_gguf_files_generate_and_train_as_on_the_cpu() {
    for (file_type, kinds) in [("q8_0", &["Q8_0"][..]), ("q4_k_m", &["Q4_K", "Q6_K"])] {
        gguf::generates_and_trains_as_on_the_cpu(file_type, kinds, &device());
    }
}

#[test]
fn a_snapshot_has_memory_of_its_own() {
    let device = device();
    let var = Var::new(&[[1f32, -0.0], [f32::INFINITY, 3.0]], &device).unwrap();
    let copy = metal_candle::device::snapshot(&var).unwrap();
    let column = metal_candle::device::snapshot(&var.narrow(1, 1, 1).unwrap()).unwrap();
    var.set(&var.affine(0.0, 5.0).unwrap()).unwrap();
    let bits = |t: &Tensor| -> Vec<u32> {
        let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let want = [1.0, -0.0, f32::INFINITY, 3.0].map(f32::to_bits);
    assert_eq!(bits(&copy), want);
    assert_eq!(bits(&column), [want[1], want[3]]);
}

/// candle keeps every command buffer until somebody waits, which every step and every token does.
#[cfg(soft_metal)]
#[test]
fn no_step_and_no_token_leaves_command_buffers_behind() {
    use metal_candle::generate::{Engine, Request};

    let buffers = || {
        let live = soft_metal::live().into_iter();
        let buffers = live.filter(|(class, _)| class.ends_with("CommandBuffer"));
        buffers.map(|(_, n)| n).sum::<isize>()
    };
    let mut kept = vec![];
    let gpu = device();
    training::steps(4, &gpu, || kept.push(buffers()));
    let model = support::model_on("qwen2", &gpu);
    let mut engine = Engine::new(&model.decoder);
    for prompt in [vec![1, 2, 3], vec![4]] {
        let request = Request {
            prompt,
            max_tokens: 4,
            ..Request::default()
        };
        engine.insert(request).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(engine.step().unwrap().len(), 2);
        kept.push(buffers());
    }
    // The open one of each.
    assert!(kept.iter().all(|&n| (0..=2).contains(&n)), "{kept:?}");
}
