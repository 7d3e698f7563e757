//! What a run left, to go on with: moments of the optimizer, the position, the settings, and the folder itself.

use crate::input::{Input, RESUME, TRAIN, WITH_ADAPTER};
use crate::tensor_file::change;
use crate::{mutate, odd_file, tensor_file};
use candle_core::{DType, Device, Tensor};
use std::os::unix::fs::symlink;
use std::path::Path;

const STATE: &str = "adapters/checkpoint-1/optimizer.safetensors";
const POSITION: &str = "adapters/checkpoint-1/checkpoint.json";
const SETTINGS: &str = "adapters/checkpoint-1/run.json";
const FIRST: &str = "model.layers.0.self_attn.q_proj.lora_B.weight.first";
const SECOND: &str = "model.layers.0.self_attn.q_proj.lora_B.weight.second";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(STATE, RESUME);
    inputs.retain(|input| !input.name.ends_with("a link to nothing"));
    inputs.extend(tensor_file::all(STATE, RESUME, SECOND));
    inputs.extend(moments());
    inputs.extend(steps());
    inputs.extend(position());
    inputs.extend(folders());
    inputs.extend(mutate::bytes_of(STATE, &[RESUME], 25));
    inputs.extend(mutate::json_of(POSITION, &[RESUME], 15));
    inputs.extend(mutate::json_of(SETTINGS, &[RESUME], 10));
    inputs
}

/// Values that no run of AdamW leaves.
fn moments() -> Vec<Input> {
    let fill = |name: &str, tensor: &'static str, value: f64| {
        change(STATE, name, RESUME, move |tensors| {
            let filled = (tensors[tensor].ones_like().unwrap() * value).unwrap();
            tensors.insert(tensor.into(), filled);
        })
        .refused(&[])
    };
    let replaced = |name: &str, f: fn(&Tensor) -> Tensor| {
        change(STATE, name, RESUME, move |tensors| {
            let new = f(&tensors[SECOND]);
            tensors.insert(SECOND.into(), new);
        })
        .refused(&[])
    };
    vec![
        fill("first moments of NaN", FIRST, f64::NAN),
        fill("first moments without end", FIRST, f64::INFINITY),
        fill("second moments of NaN", SECOND, f64::NAN),
        fill("second moments below 0", SECOND, -1.0),
        fill("second moments without end", SECOND, f64::INFINITY),
        fill("first moments of 3e38", FIRST, 3e38),
        replaced("second moments in another shape", |tensor| {
            tensor.t().unwrap().contiguous().unwrap()
        }),
        replaced("second moments in float16", |tensor| {
            tensor.to_dtype(DType::F16).unwrap()
        }),
        replaced("second moments as integers", |tensor| {
            tensor.to_dtype(DType::I64).unwrap()
        }),
    ]
}

fn steps() -> Vec<Input> {
    let step = |name: &str, tensor: fn() -> Tensor| {
        change(STATE, name, RESUME, move |tensors| {
            drop(tensors.insert("step".into(), tensor()))
        })
        .refused(&[])
    };
    let none = change(STATE, "no step", RESUME, |tensors| {
        drop(tensors.remove("step"))
    });
    vec![
        none.refused(&[]),
        step("step -1", || Tensor::new(-1i64, &Device::Cpu).unwrap()),
        step("step 2^62", || {
            Tensor::new(1i64 << 62, &Device::Cpu).unwrap()
        }),
        step("step 2^63-1", || {
            Tensor::new(i64::MAX, &Device::Cpu).unwrap()
        }),
        step("step -2^63", || {
            Tensor::new(i64::MIN, &Device::Cpu).unwrap()
        }),
        step("step NaN", || Tensor::new(f64::NAN, &Device::Cpu).unwrap()),
        step("step 1e300", || Tensor::new(1e300, &Device::Cpu).unwrap()),
        step("two steps", || {
            Tensor::new(&[1i64, 2], &Device::Cpu).unwrap()
        }),
        step("steps of nothing", || {
            Tensor::zeros(0, DType::I64, &Device::Cpu).unwrap()
        }),
    ]
}

/// The file that ties the parts together.
fn position() -> Vec<Input> {
    let file = |text: &str| {
        let name = format!("{POSITION}: {}", text.chars().take(30).collect::<String>());
        Input::new(name, RESUME)
            .file(POSITION, text)
            .refused(&["checkpoint.json"])
    };
    let steps = [
        "-1",
        "1.5",
        "\"1\"",
        "null",
        "18446744073709551615",
        "18446744073709551616",
        "NaN",
    ];
    let mut inputs: Vec<Input> = ["{", "[]", "null", "{}", "5"].map(file).into();
    inputs.push(file(&mutate::nested("[", "", "]", 100_000)));
    inputs.extend(steps.map(|raw| {
        Input::new(format!("{POSITION}: step = {raw}"), RESUME)
            .set(POSITION, "/step", raw)
            .refused(&["checkpoint.json"])
    }));
    // An adapter that fits, but is another one.
    let other = change(
        "adapters/adapter_model.safetensors",
        "another adapter beside this state",
        RESUME,
        |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = (tensor.clone() + 0.25).unwrap();
            }
        },
    );
    inputs.push(other.refused(&[]));
    let settings = ["{", "[]", "null", "{\"a\": 1}", "\u{0}"];
    inputs.extend(
        settings.map(|text| Input::new(format!("{SETTINGS}: {text}"), RESUME).file(SETTINGS, text)),
    );
    inputs
}

/// Things where a run wants to write.
fn folders() -> Vec<Input> {
    let place = |name: &str, place: fn(&Path)| {
        Input::new(name, TRAIN).change(move |folder| {
            std::fs::create_dir(folder.join("out")).unwrap();
            place(&folder.join("out"));
        })
    };
    let copied = |folder: &Path| {
        std::fs::create_dir(folder.join("out")).unwrap();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            std::fs::copy(
                folder.join("adapters").join(name),
                folder.join("out").join(name),
            )
            .unwrap();
        }
    };
    let twice = |command: &str| format!("{TRAIN} {command}");
    vec![
        Input::new("an adapter of another run in the output", TRAIN)
            .change(copied)
            .refused(&["--overwrite"]),
        Input::new(
            "an adapter of another run, to be overwritten",
            &twice("--overwrite"),
        )
        .change(copied)
        .accepted(),
        place("the metrics are a folder", |out| {
            std::fs::create_dir(out.join("metrics.jsonl")).unwrap()
        })
        .refused(&["metrics.jsonl"]),
        place("the metrics are a pipe", |out| {
            odd_file::pipe(&out.join("metrics.jsonl"))
        }),
        place("the metrics are a full device", |out| {
            symlink("/dev/full", out.join("metrics.jsonl")).unwrap()
        }),
        place("the metrics are a link to themselves", |out| {
            symlink("metrics.jsonl", out.join("metrics.jsonl")).unwrap()
        })
        .refused(&["metrics.jsonl"]),
        place("the lock is a folder", |out| {
            std::fs::create_dir(out.join(".lock")).unwrap()
        }),
        place("the lock is a pipe", |out| {
            odd_file::pipe(&out.join(".lock"))
        }),
        place("the lock is a link to itself", |out| {
            symlink(".lock", out.join(".lock")).unwrap()
        }),
        place("the settings are a folder", |out| {
            std::fs::create_dir(out.join("run.json")).unwrap()
        }),
        place("the settings are a pipe", |out| {
            odd_file::pipe(&out.join("run.json"))
        }),
        place("the adapter is a folder", |out| {
            std::fs::create_dir(out.join("adapter_model.safetensors")).unwrap()
        })
        .refused(&[]),
        place("the configuration is a folder", |out| {
            std::fs::create_dir(out.join("adapter_config.json")).unwrap()
        })
        .refused(&[]),
        place("the first checkpoint is a file", |out| {
            std::fs::write(out.join("checkpoint-1"), "x").unwrap()
        })
        .arg("--save-every")
        .arg("1"),
        place("the first checkpoint is a link elsewhere", |out| {
            symlink("../data", out.join("checkpoint-1")).unwrap()
        })
        .arg("--save-every")
        .arg("1"),
        place("a checkpoint of a number without end", |out| {
            std::fs::create_dir(out.join(format!("checkpoint-{}", "9".repeat(60)))).unwrap()
        }),
        place("a checkpoint of no number", |out| {
            std::fs::create_dir(out.join("checkpoint-x")).unwrap()
        }),
        place("litter of a killed run", |out| {
            std::fs::write(out.join(".tmp-x"), "x").unwrap()
        })
        .accepted(),
        place("a folder as litter of a killed run", |out| {
            std::fs::create_dir_all(out.join(".tmp-x/y")).unwrap()
        })
        .accepted(),
        Input::new("the output is a link to itself", TRAIN)
            .change(|folder| symlink("out", folder.join("out")).unwrap())
            .refused(&[]),
        Input::new("the output is a link to nothing", TRAIN)
            .change(|folder| symlink("new", folder.join("out")).unwrap()),
        Input::new("resuming into its own folder", RESUME)
            .arg("--adapter-path")
            .arg("adapters")
            .and(WITH_ADAPTER)
            .accepted(),
        Input::new("resuming a folder of nothing", RESUME)
            .change(|folder| {
                std::fs::remove_dir_all(folder.join("adapters")).unwrap();
                std::fs::create_dir(folder.join("adapters")).unwrap();
            })
            .refused(&["adapters"]),
    ]
}
