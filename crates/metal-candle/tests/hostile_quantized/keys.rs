//! Files of a prompt's keys and values that contradict themselves or the model.

use super::*;
use metal_candle::models::PromptCache;
use std::collections::HashMap;

/// What reading a changed copy of a file of keys says; `change` is told the tensors and the header.
fn cache_problem(
    name: &str,
    change: impl FnOnce(&mut Tensors, &mut HashMap<String, String>),
) -> String {
    let path = golden("mlx-4bit").join(format!("caches/{name}.safetensors"));
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let (mut tensors, mut header) = (read(&bytes), header.metadata().clone().unwrap());
    change(&mut tensors, &mut header);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let views = tensors.iter().map(|(name, raw)| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes);
        (name, view.unwrap())
    });
    fs::write(&path, serialize(views, Some(header)).unwrap()).unwrap();
    let model = Model::load(&golden("mlx-4bit").join("model"), &Device::Cpu).unwrap();
    let read = PromptCache::read(&path).and_then(|file| model.decoder.read_cache(&file));
    match read {
        Ok(_) => String::from("nothing"),
        Err(error) => error.to_string(),
    }
}

fn number(tensors: &mut Tensors, name: &str, value: i32) {
    tensors.get_mut(name).unwrap().bytes = value.to_le_bytes().to_vec();
}

#[test]
fn files_of_keys_that_cannot_be_are_refused() {
    let check = |name: &str, expected: &str, change: &dyn Fn(&mut Tensors, &mut HashMap<_, _>)| {
        let problem = cache_problem(name, change);
        assert!(
            problem.contains(expected),
            "{name}: {problem}, not {expected}"
        );
    };
    for name in ["whole", "bounded", "quantized"] {
        check(name, "nothing", &|_, _| {});
    }
    let numbers = [
        ("whole", "0.2", -1, "0.2 must have 0 or more, got -1"),
        ("whole", "0.2", 0, "0 tokens in room for 256"),
        (
            "whole",
            "0.2",
            i32::MAX,
            "2147483647 tokens in room for 256",
        ),
        (
            "whole",
            "1.2",
            12,
            "block 1: 12 tokens, the first block has 13",
        ),
        ("whole", "0.2", 200, "200 tokens, and the model takes 128"),
        ("bounded", "0.2", 3, "that cannot be"),
        ("bounded", "0.3", 8, "that cannot be"),
        ("bounded", "0.4", 100, "that cannot be"),
        ("bounded", "0.5", 2, "that cannot be"),
        ("bounded", "0.5", 300, "that cannot be"),
        ("quantized", "0.3", 7, "0.0: "),
        ("quantized", "0.4", 9, "0.0: "),
    ];
    for (name, scalar, value, expected) in numbers {
        check(name, expected, &|tensors, _| number(tensors, scalar, value));
    }
    check("whole", "no tensor 1.1", &|tensors, _| {
        tensors.remove("1.1");
    });
    check("quantized", "no tensor 0.0.1", &|tensors, _| {
        tensors.remove("0.0.1");
    });
    check(
        "whole",
        "0.1 must have a shape (1, G, n, D)",
        &|tensors, _| {
            let values = tensors.get_mut("0.1").unwrap();
            values.shape = vec![values.shape.iter().product()];
        },
    );
    check(
        "whole",
        "values of 4 heads of 16 numbers, and the model has 2 of 32",
        &|tensors, _| {
            for name in ["0.1", "1.1"] {
                tensors.get_mut(name).unwrap().shape = vec![1, 4, 256, 16];
            }
        },
    );
    check(
        "whole",
        "keys of 256 tokens, and values of 128",
        &|tensors, _| {
            tensors.get_mut("0.1").unwrap().shape = vec![1, 4, 128, 32];
        },
    );
    check("whole", "0.0 must have finite numbers", &|tensors, _| {
        tensors.get_mut("0.0").unwrap().bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    check(
        "whole",
        "0.0 must have a dtype of [F32, F16, BF16], got U32",
        &|tensors, _| {
            tensors.get_mut("0.0").unwrap().dtype = Dtype::U32;
        },
    );
    check(
        "whole",
        "block 0: a cache of class ArraysCache",
        &|_, header| {
            header.insert("1.0".into(), "ArraysCache".into());
        },
    );
    check(
        "whole",
        "caches of 1 blocks, and the model has 2",
        &|_, header| {
            header.remove("1.1");
        },
    );
    check("whole", "no file of keys and values", &|_, header| {
        header.clear()
    });
    check(
        "whole",
        "tokenizer_config must be a JSON object",
        &|_, header| {
            header.insert("0.tokenizer_config".into(), "{".into());
        },
    );
}
