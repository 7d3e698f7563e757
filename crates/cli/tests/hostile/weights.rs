//! `model.safetensors`, and what may lie there instead.

use crate::input::{FUSE, GENERATE, INSPECT, Input, PERPLEXITY, TRAIN};
use crate::tensor_file::change;
use crate::{mutate, odd_file, tensor_file};
use candle_core::{DType, Tensor};
use std::os::unix::fs::symlink;

const FILE: &str = "model/model.safetensors";
const NORM: &str = "model.norm.weight";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, GENERATE);
    inputs.extend(tensor_file::all(FILE, GENERATE, NORM));
    inputs.extend(accepted());
    inputs.extend(useless());
    inputs.extend(of_other_formats());
    inputs.extend(mutate::bytes_of(
        FILE,
        &[GENERATE, INSPECT, TRAIN, PERPLEXITY, FUSE],
        40,
    ));
    inputs
}

fn every(name: &str, f: fn(&Tensor) -> Tensor) -> Input {
    change(FILE, name, GENERATE, move |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = f(tensor);
        }
    })
}

fn accepted() -> Vec<Input> {
    let inputs = [
        every("all zeros", |tensor| tensor.zeros_like().unwrap()).and(PERPLEXITY),
        every("float16", |tensor| tensor.to_dtype(DType::F16).unwrap()).and(PERPLEXITY),
        every("bfloat16", |tensor| tensor.to_dtype(DType::BF16).unwrap()).and(TRAIN),
        every("denormal", |tensor| {
            (tensor.ones_like().unwrap() * 1e-40).unwrap()
        }),
        Input::new("blanks after the header", GENERATE).bytes(FILE, |old| {
            let length = u64::from_le_bytes(old[..8].try_into().unwrap()) as usize;
            let (header, body) = old[8..].split_at(length);
            [
                &(length as u64 + 64).to_le_bytes(),
                header,
                &[b' '; 64],
                body,
            ]
            .concat()
        }),
        // So the hub's own cache keeps files.
        Input::new("a link to a file elsewhere", GENERATE).change(|folder| {
            std::fs::rename(folder.join(FILE), folder.join("blob")).unwrap();
            symlink("../blob", folder.join(FILE)).unwrap();
        }),
    ];
    inputs.into_iter().map(Input::accepted).collect()
}

/// Finite values whose results are not, and values that say nothing.
fn useless() -> Vec<Input> {
    let large = |tensor: &Tensor| (tensor.ones_like().unwrap() * 3e38).unwrap();
    let mut inputs = vec![
        every("all 3e38", large).and(PERPLEXITY),
        change(FILE, "a norm of 3e38", GENERATE, move |tensors| {
            let norm = large(&tensors[NORM]);
            tensors.insert(NORM.into(), norm);
        })
        .and(PERPLEXITY)
        .and(TRAIN),
    ];
    let shrink = |name: &str, n: usize| {
        change(FILE, name, GENERATE, move |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.narrow(0, 0, n).unwrap();
            }
        })
        .refused(&[])
    };
    inputs.extend([shrink("one row of each", 1), shrink("no row of any", 0)]);
    let zeros = change(FILE, "all zeros, to be trained", TRAIN, |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.zeros_like().unwrap();
        }
    });
    inputs.push(zeros.refused(&["failed checks: gradients"]));
    inputs
}

/// The one file that is there is of another kind: the message says so.
fn of_other_formats() -> Vec<Input> {
    let only = |name: &'static str| {
        let input = Input::new(format!("only {name}"), GENERATE).change(move |folder| {
            std::fs::rename(folder.join(FILE), folder.join("model").join(name)).unwrap();
        });
        input.refused(Box::leak(Box::new([name])))
    };
    let mut inputs: Vec<Input> = ["pytorch_model.bin", "model.gguf"].map(only).into();
    let adapter = Input::new(
        "an adapter as the model",
        "generate --model adapters -p hello",
    );
    inputs.push(adapter.refused(&["adapter"]));
    inputs
}
