//! Advice about each error of an adapter.

use super::advice::{of_file, of_gpu};
use metal_candle::lora::format::Inexpressible;
use metal_candle::lora::{Error, Found, Problem, Refusal, Unexpected};
use std::path::Path;

pub(super) fn of_lora(error: &Error) -> Option<String> {
    match error {
        Error::File(error) => of_file(error),
        Error::InFile { source, .. } => of_setting_in_file(source).map(String::from),
        Error::NotAnAdapter { path, found } => of_found(path, found),
        Error::Unsupported { refused, .. } => {
            let mut advice: Vec<&str> = refused.iter().filter_map(of_field).collect();
            advice.dedup();
            (!advice.is_empty()).then(|| advice.join("; "))
        }
        Error::Mismatch { problems, .. } => of_problems(problems).map(String::from),
        _ => of_setting(error)
            .map(String::from)
            .or_else(|| of_gpu(error)),
    }
}

fn of_setting(error: &Error) -> Option<&'static str> {
    match error {
        Error::NoMatch { .. } => Some(
            "name layers as --targets q_proj,v_proj, or use --targets all-linear; \
             `metal-candle inspect --model MODEL` lists the layers",
        ),
        Error::Regex { .. } => {
            Some("regex: takes an expression of Python's re for whole names, as PEFT does")
        }
        Error::Overflow { .. } => Some(
            "leave the adapter beside the model, without --merge or fuse, or use a bfloat16 or float32 checkpoint",
        ),
        Error::Packed { .. } => Some(
            "leave the adapter beside the model: --adapter-path, without --merge or fuse; or unpack the model: fuse --dequantize",
        ),
        Error::NoQuantizer { .. } => Some(
            "unpack the model: --dequantize, or a folder as --save-path of a GGUF file; or leave the adapter beside the model: --adapter-path, without fuse",
        ),
        Error::Memory { .. } => {
            Some("use a smaller --rank, fewer --targets, or fewer blocks with --num-layers")
        }
        Error::Setting {
            what: "the number of layers",
            ..
        } => Some("--num-layers counts blocks from the last, and -1 is all of them"),
        Error::Json { .. } => Some(
            "the file must be one JSON object, as PEFT and mlx-lm write it: fetch or train the adapter again",
        ),
        Error::Inexpressible { reasons, .. } => reasons.first().map(of_inexpressible),
        Error::WhichModel { .. } | Error::WhichExperts { .. } | Error::OfWeights { .. } => {
            Some("name the model with --model")
        }
        Error::Beginning { .. } => Some(
            "convert the adapter with PEFT, beside the weights that it was trained on: \
             save_pretrained(..., path_initial_model_for_weight_conversion=...)",
        ),
        Error::Safetensors { .. } => {
            Some("the adapter file is incomplete: fetch or train it again")
        }
        _ => None,
    }
}

fn of_inexpressible(reason: &Inexpressible) -> &'static str {
    match reason {
        Inexpressible::Ranks { .. } => "--pad-ranks fills lower ranks up with zeros",
        Inexpressible::OneEnd { .. } => {
            "train the adapter with ensure_weight_tying, or fuse it and use the fused model"
        }
        _ => "fuse the adapter into its model and use that",
    }
}

fn of_setting_in_file(error: &Error) -> Option<&'static str> {
    match error {
        Error::NoMatch { .. } => Some(
            "the adapter is for a model with other layers: base_model_name_or_path in the file names it",
        ),
        Error::NoToken { .. } => Some(OTHER_MODEL),
        Error::NotBuilt { .. } => Some(
            "merge it with the tool that trained it (PEFT's merge_and_unload, mlx_lm.fuse) and use the merged model",
        ),
        _ => None,
    }
}

fn of_found(path: &Path, found: &Found) -> Option<String> {
    let shown = path.display();
    Some(match found {
        Found::Nothing => "name a folder with adapter_config.json and the tensors beside it".into(),
        Found::Pickle => {
            let new = path.with_extension("safetensors");
            format!(
                "convert it: python -c \"import torch; from safetensors.torch import save_file; \
                 save_file({{k: v.contiguous() for k, v in torch.load('{shown}', map_location='cpu', \
                 weights_only=True).items()}}, '{}')\"",
                new.display()
            )
        }
        Found::Gguf => {
            "take the adapter that it was converted from, a folder with adapter_config.json".into()
        }
        Found::Model => "give a model to --model".into(),
        Found::Folders(names) => {
            let first = names.first().map_or("", String::as_str);
            format!("name one of them: {}", path.join(first).display())
        }
    })
}

fn of_field(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal.field.as_str() {
        "fine_tune_type" => "fuse it with mlx_lm.fuse and use the fused model",
        "peft_type" => {
            "train the adapter with PEFT's LoraConfig; other methods can be merged there (merge_and_unload)"
        }
        "task_type" => "use an adapter that was trained for CAUSAL_LM",
        "bias" => "train the adapter with bias='none'",
        "modules_to_save" => {
            "train the adapter with modules_to_save of lm_head and embed_tokens alone, or merge it with PEFT (merge_and_unload)"
        }
        "lora_bias" | "use_bdlora" | "kasa_config" => {
            "merge the adapter with PEFT (merge_and_unload) and use the merged model, or train it without this"
        }
        "init_lora_weights" => {
            "convert the adapter with PEFT: save_pretrained(..., path_initial_model_for_weight_conversion=...); \
             one of LoftQ belongs to the model that LoftQ saved"
        }
        "alora_invocation_tokens" => {
            "use PEFT or vLLM for an adapter that acts on a part of the tokens"
        }
        "arrow_config" => "name the adapters that it chooses from one at a time",
        "layer_replication" => {
            "merge the adapter with PEFT (merge_and_unload): the replicated model is another"
        }
        "target_modules" | "layers_pattern" => "list the modules in target_modules by their names",
        "megatron_config" => "convert the model and the adapter to Hugging Face's layout",
        "use_qalora" => "train the adapter without use_qalora",
        _ => return None,
    })
}

/// Advice for the first of the problems, worst first: what the file holds beyond a plain adapter
/// explains what is missing in it.
fn of_problems(problems: &[Problem]) -> Option<&'static str> {
    let worst = problems.iter().min_by_key(|problem| match problem {
        Problem::Unexpected {
            why: Unexpected::NoSuchLayer | Unexpected::NotTargeted | Unexpected::Unknown,
            ..
        } => 1,
        Problem::Unexpected { .. } | Problem::Trained { .. } | Problem::Untied { .. } => 0,
        Problem::Shape { .. } | Problem::Rank { .. } => 2,
        Problem::Dtype { .. } | Problem::NotFinite { .. } => 3,
        Problem::Missing { .. } => 4,
    })?;
    Some(of_problem(worst))
}

fn of_problem(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unexpected { why, .. } => of_unexpected(*why),
        Problem::Trained { .. } => {
            "merge the adapter with PEFT (merge_and_unload) and use the merged model: a weight that was changed belongs to it"
        }
        Problem::Untied { .. } => {
            "the file holds two adapters of one matrix: train it without ensure_weight_tying"
        }
        Problem::Rank { got: 0, .. } => SHARD,
        Problem::Shape { got, .. } if got.contains(&0) => SHARD,
        Problem::Shape { .. } => OTHER_MODEL,
        Problem::Rank { .. } => {
            "adapter_config.json is not the one that was saved with these tensors: its r or rank_pattern differs"
        }
        Problem::Dtype { .. } => {
            "convert the tensors to float32, float16 or bfloat16 and save the adapter again"
        }
        Problem::NotFinite { .. } => {
            "the training that wrote them failed: train again with a lower learning rate, or take an earlier checkpoint"
        }
        Problem::Missing { .. } => {
            "the file is not complete, or adapter_config.json targets more layers than were trained: fetch both again"
        }
    }
}

const OTHER_MODEL: &str = "the adapter belongs to another model: base_model_name_or_path in its adapter_config.json names it";

const SHARD: &str = "tensors without values come from DeepSpeed or FSDP that saved one shard: gather the weights and save again";

fn of_unexpected(why: Unexpected) -> &'static str {
    use Unexpected as U;
    match why {
        U::Bias => "merge the adapter with PEFT (merge_and_unload) and use the merged model",
        U::Mlx => {
            "adapter_config.json is of PEFT, and the tensors of mlx-lm: fetch both from one place"
        }
        U::Peft => {
            "adapter_config.json is of mlx-lm, and the tensors of PEFT: fetch both from one place"
        }
        U::NoPrefix => {
            "save the adapter with PEFT's save_pretrained, which names tensors as they are read here"
        }
        U::Wrapped => {
            "unwrap the model (model._orig_mod, model.module) and save the adapter again with save_pretrained"
        }
        U::Headless => {
            "the adapter was trained on the model without its output head: its names lack a 'model.' after the prefix"
        }
        U::MultiModal => "the adapter is for a multi-modal model; text models are built",
        U::Dora => {
            "adapter_config.json is not the one that was saved with these tensors: its method differs"
        }
        U::NotTargeted => {
            "adapter_config.json is not the one that was saved with these tensors: its target_modules differ"
        }
        U::Twice => "the file holds two adapters: save one of them alone",
        U::NoSuchLayer => OTHER_MODEL,
        U::Unknown => {
            "the file holds more than a LoRA adapter: look for the tool that wrote it, and merge with that"
        }
    }
}
