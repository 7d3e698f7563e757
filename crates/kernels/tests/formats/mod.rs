//! What the owners of formats packed (`golden`), on an Apple GPU.

use candle_core::{Device, Tensor, safetensors};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::bnb_4bit::{self, Bnb4bit, Nested, Parts};
use metal_candle_kernels::weight::bnb_int8::BnbInt8;
use metal_candle_kernels::weight::fp8::Fp8;
use metal_candle_kernels::weight::gguf::{BlockType, Gguf};
use metal_candle_kernels::weight::microscaling::{Kind, Microscaled};
use metal_candle_kernels::weight::zero_point::{self, Layout, Sizes, ZeroPoint};
use std::collections::HashMap;
use std::path::Path;

/// A packed matrix on a GPU, and its numbers as the owner of its format has them.
pub struct Golden {
    pub name: String,
    pub weight: Weight,
    pub dense: Tensor,
}

/// Tensors of a file, also where crates/soft-metal compiles these tests.
struct File<'a> {
    tensors: HashMap<String, Tensor>,
    gpu: &'a Device,
}

impl<'a> File<'a> {
    fn read(name: &str, gpu: &'a Device) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut above = here.ancestors();
        let root = above.find(|folder| folder.join("crates/kernels").exists());
        let file = root.unwrap().join("crates/kernels/tests/golden").join(name);
        let tensors = safetensors::load(file, &Device::Cpu).unwrap();
        Self { tensors, gpu }
    }

    fn part(&self, name: &str) -> Tensor {
        self.tensors[name].to_device(self.gpu).unwrap()
    }

    fn golden(&self, name: &str, weight: impl Into<Weight>) -> Golden {
        Golden {
            name: name.into(),
            weight: weight.into(),
            dense: self.tensors[&format!("{name}.dense")].clone(),
        }
    }
}

/// Every format that has such a file.
pub fn all(gpu: &Device) -> Vec<Golden> {
    let of_floats = [gguf(gpu), bitsandbytes(gpu), microscaling(gpu), fp8(gpu)];
    let of_floats = of_floats.into_iter().flatten();
    of_floats.chain(zero_points(gpu)).collect()
}

fn gguf(gpu: &Device) -> Vec<Golden> {
    let file = File::read("gguf.safetensors", gpu);
    let packed = |block: BlockType| {
        let bytes = file.part(&format!("{}.bytes", block.name()));
        file.golden(block.name(), Gguf::new(bytes, block).unwrap())
    };
    BlockType::all().map(packed).collect()
}

fn bitsandbytes(gpu: &Device) -> Vec<Golden> {
    let file = File::read("bitsandbytes.safetensors", gpu);
    let four_bits = |(name, dims, block, is_nested): (&str, (usize, usize), usize, bool)| {
        let part = |part: &str| file.part(&format!("{name}.{part}"));
        let nested = || Nested {
            absmax: part("nested_absmax"),
            quant_map: part("nested_quant_map"),
            block: 256,
            offset: part("nested_offset").to_scalar().unwrap(),
        };
        let parts = Parts {
            bytes: part("weight"),
            absmax: part("absmax"),
            quant_map: part("quant_map"),
            nested: is_nested.then(nested),
        };
        let packed = Bnb4bit::new(bnb_4bit::Kind::Nf4, dims, block, parts).unwrap();
        let mut golden = file.golden(name, packed);
        // The kernel of fp4 has a negative zero, which its table in the file has not.
        golden.dense = (golden.dense + 0.0).unwrap();
        golden
    };
    let cases = [
        ("nf4", (37, 90), 64, false),
        ("nf4.nested", (130, 130), 64, true),
        ("nf4.128", (37, 90), 128, false),
        ("fp4", (37, 90), 64, false),
    ];
    let int8 = ["weight", "SCB"].map(|part| file.part(&format!("int8.{part}")));
    // Its bytes begin where no word may.
    let behind = int8.each_ref().map(|part| part.narrow(0, 1, 36).unwrap());
    let behind = Golden {
        name: "int8 without its first row".into(),
        weight: BnbInt8::new(behind).unwrap().into(),
        dense: file.tensors["int8.dense"].narrow(0, 1, 36).unwrap(),
    };
    let int8 = file.golden("int8", BnbInt8::new(int8).unwrap());
    let of_8_bits = [int8, behind];
    cases.map(four_bits).into_iter().chain(of_8_bits).collect()
}

fn microscaling(gpu: &Device) -> Vec<Golden> {
    let file = File::read("microscaling.safetensors", gpu);
    let packed = |kind: Kind| {
        let parts = ["words", "scales"].map(|part| file.part(&format!("{}.{part}", kind.name())));
        file.golden(kind.name(), Microscaled::new(kind, parts).unwrap())
    };
    Kind::ALL.map(packed).into()
}

fn fp8(gpu: &Device) -> Vec<Golden> {
    let file = File::read("fp8.safetensors", gpu);
    let packed = |(name, block)| {
        let parts = ["weight", "scales"].map(|part| file.part(&format!("{name}.{part}")));
        file.golden(name, Fp8::new(parts, block).unwrap())
    };
    let cases = [
        ("block", (16, 32)),
        ("tensor", (35, 100)),
        ("row", (1, 100)),
    ];
    cases.map(packed).into()
}

fn zero_points(gpu: &Device) -> Vec<Golden> {
    let file = File::read("zero_point.safetensors", gpu);
    let packed = |(name, layout, bits, group, k): (&str, Layout, usize, usize, usize)| {
        let part = |part: &str| {
            let part = file.tensors.get(&format!("{name}.{part}"))?;
            Some(part.to_device(gpu).unwrap())
        };
        let sizes = Sizes {
            dims: (32, k),
            bits,
            group,
        };
        let parts = zero_point::Parts {
            words: part("words").unwrap(),
            zeros: part("zeros"),
            scales: part("scales").unwrap(),
            groups: part("groups"),
        };
        let packed = ZeroPoint::new(layout, sizes, &parts).unwrap();
        let mut golden = file.golden(name, packed);
        // A product with zero has a sign in one of the two forms.
        golden.dense = (golden.dense + 0.0).unwrap();
        golden
    };
    let (gptq, compressed) = (Layout::Gptq, Layout::CompressedTensors);
    let cases = [
        ("gptq.2", gptq, 2, 64, 64),
        ("gptq.3", gptq, 3, 64, 64),
        ("gptq.4", gptq, 4, 32, 64),
        ("gptq.8", gptq, 8, 32, 64),
        ("gptq.4.whole", gptq, 4, 256, 256),
        ("gptq.4.columns", gptq, 4, 32, 64),
        ("gptq.3.columns", gptq, 3, 32, 64),
        ("gptq_v2.4", Layout::GptqV2, 4, 64, 64),
        ("awq.4", Layout::Awq, 4, 64, 64),
        ("compressed-tensors.4", compressed, 4, 32, 64),
        ("compressed-tensors.8", compressed, 8, 64, 64),
        ("compressed-tensors.4.zeros", compressed, 4, 64, 64),
        ("compressed-tensors.4.columns", compressed, 4, 32, 64),
    ];
    cases.map(packed).into()
}
