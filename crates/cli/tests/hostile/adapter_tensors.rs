//! `adapter_model.safetensors`.

use crate::input::{FUSE, INSPECT, Input, WITH_ADAPTER};
use crate::tensor_file::change;
use crate::{mutate, odd_file, tensor_file};
use candle_core::DType;

const FILE: &str = "adapters/adapter_model.safetensors";
const B: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
const A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
/// Alone: beside a run's other files the resumption may look at those first.
const RESUME_ALONE: &str = "train --model model --data data --adapter-path out --iters 1 --batch-size 2 \
                            --max-seq-length 48 --val-batches 0 --resume-adapter-file adapters";
const PERPLEXITY: &str =
    "perplexity --model model --data data/valid.jsonl --adapter-path adapters --max-seq-length 48";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, WITH_ADAPTER);
    inputs.extend(tensor_file::all(FILE, WITH_ADAPTER, B));
    inputs.extend(refused());
    inputs.extend(accepted());
    inputs.extend(mutate::bytes_of(
        FILE,
        &[WITH_ADAPTER, FUSE, INSPECT, RESUME_ALONE],
        40,
    ));
    inputs
}

fn refused() -> Vec<Input> {
    // Finite beside the base, not in it: 3e38 plus anything that is added.
    let huge = |command: &str| {
        let name = format!(
            "updates of 1e38 times 1e38, {}",
            command.split(' ').next().unwrap_or_default()
        );
        change(FILE, &name, command, |tensors| {
            for name in [A, B] {
                let huge = (tensors[name].ones_like().unwrap() * 1e38).unwrap();
                tensors.insert(name.into(), huge);
            }
        })
        .refused(&[])
    };
    let only_bin = Input::new("only adapter_model.bin", WITH_ADAPTER).change(|folder| {
        std::fs::rename(folder.join(FILE), folder.join("adapters/adapter_model.bin")).unwrap();
    });
    let swapped = change(FILE, "A and B swapped", WITH_ADAPTER, |tensors| {
        let (a, b) = (tensors[A].clone(), tensors[B].clone());
        tensors.insert(A.into(), b);
        tensors.insert(B.into(), a);
    });
    let renamed = change(FILE, "names of another model", WITH_ADAPTER, |tensors| {
        *tensors = tensors
            .drain()
            .map(|(name, tensor)| (name.replace("layers", "h"), tensor))
            .collect();
    });
    vec![
        huge(WITH_ADAPTER),
        huge(FUSE),
        huge(PERPLEXITY),
        only_bin.refused(&["adapter_model.bin"]),
        swapped.refused(&["lora_A"]),
        renamed.refused(&[".h.0."]),
    ]
}

fn accepted() -> Vec<Input> {
    let every = |name: &str, dtype: DType| {
        change(FILE, name, WITH_ADAPTER, move |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(dtype).unwrap();
            }
        })
        .and(FUSE)
        .accepted()
    };
    let named = change(
        FILE,
        "names with the adapter's own",
        WITH_ADAPTER,
        |tensors| {
            let name = |name: String| name.replace(".weight", ".default.weight");
            *tensors = tensors
                .drain()
                .map(|(key, tensor)| (name(key), tensor))
                .collect();
        },
    );
    vec![
        every("float16", DType::F16),
        every("bfloat16", DType::BF16),
        named.accepted(),
    ]
}
