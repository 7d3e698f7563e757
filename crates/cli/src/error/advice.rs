//! What to do about each error of the library.

use metal_candle::{data, files, lora, models, train};
use std::error::Error as _;
use std::io::{self, ErrorKind};

const MEMORY: &str =
    "if memory ran out: a smaller --batch-size, --max-seq-length, or --grad-checkpoint";

pub(super) fn of_file(error: &files::Error) -> Option<String> {
    let folder = error.path.parent().unwrap_or(&error.path).display();
    match (kind(&error.source), error.action) {
        (ErrorKind::NotFound, "write" | "create") => None,
        (ErrorKind::NotFound, _) => Some("check the path".into()),
        (ErrorKind::OutOfMemory, _) => Some(MEMORY.into()),
        (ErrorKind::PermissionDenied, "write" | "create") => Some(format!(
            "choose a folder that you may write to instead of {folder}"
        )),
        (ErrorKind::PermissionDenied, _) => Some("check the permissions of the file".into()),
        (ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge, _) => {
            Some(format!(
                "make room on the disk of {folder}; files that were there before are untouched"
            ))
        }
        _ => None,
    }
}

/// The system's reason, also where a writer of tensors has wrapped it.
fn kind(error: &io::Error) -> ErrorKind {
    let inner = error.source().and_then(|inner| inner.downcast_ref());
    inner.map_or(error.kind(), io::Error::kind)
}

pub(super) fn of_data(error: &data::Error) -> Option<String> {
    use data::Error as E;
    match error {
        E::File(error) => of_file(error),
        E::Row { error, .. } => of_row(error),
        E::EmptyFile { .. } => Some("put one JSON object on each line, for example {\"text\": \"...\"}".into()),
        E::NothingToTrain { .. } => Some(
            "look at a row with `metal-candle inspect --model MODEL --data FILE --row 1 --mask-prompt`; \
             a short --max-seq-length cuts the end of a row, where the answer is"
                .into(),
        ),
        E::MissingSplit { .. } => {
            Some("--data names a folder with train.jsonl and, if wanted, valid.jsonl and test.jsonl".into())
        }
        E::NoChatTemplate { .. } => Some("use --ignore-chat-template, or put a chat_template.jinja there".into()),
        E::NoEosToken { .. } => Some("name the eos_token in tokenizer_config.json".into()),
        _ => None,
    }
}

fn of_row(error: &data::RowError) -> Option<String> {
    use data::RowError as E;
    match error {
        E::Json(_) | E::NotAnObject { .. } => {
            Some("each line must be one JSON object; mend or remove this line".into())
        }
        E::UnknownKind { .. } => Some("rename the keys of the rows".into()),
        E::OtherKind { .. } => {
            Some("all rows of a file must be of one kind; split the file".into())
        }
        E::TokenOutOfRange { .. } => Some(OTHER_TOKENIZER.into()),
        E::MaskedText => Some("leave --mask-prompt out".into()),
        _ => None,
    }
}

const OTHER_TOKENIZER: &str = "the tokenizer is that of another model: take tokenizer.json and config.json from the \
                               same checkpoint";

pub(super) fn of_model(error: &models::Error) -> Option<String> {
    use models::Error as E;
    match error {
        E::File(error) => of_file(error),
        E::NoCheckpoint { .. } => {
            Some("--model names a folder with config.json, tokenizer.json and safetensors, or a Hugging Face id".into())
        }
        E::MissingShards { .. } | E::Safetensors { .. } => {
            Some("the download or copy is incomplete: fetch the files again".into())
        }
        E::Tensors { .. } => {
            Some("config.json and the safetensors files must be of the same checkpoint, complete and undamaged".into())
        }
        E::TokenOutOfRange { .. } => Some(OTHER_TOKENIZER.into()),
        E::TooLong { .. } => Some("shorten the text, or cut rows with --max-seq-length".into()),
        E::EmptyPrompt => Some("give a --prompt that is not empty".into()),
        _ => None,
    }
}

pub(super) fn of_lora(error: &lora::Error) -> Option<String> {
    use lora::Error as E;
    match error {
        E::File(error) => of_file(error),
        E::NoMatch { .. } => Some(
            "name layers as --targets q_proj,v_proj, or use --targets all-linear; \
             `metal-candle inspect --model MODEL` lists the layers"
                .into(),
        ),
        E::Mismatch { .. } => Some(
            "the adapter belongs to another model: base_model_name_or_path in its adapter_config.json names it".into(),
        ),
        E::Safetensors { .. } => Some("the adapter file is incomplete: fetch or train it again".into()),
        _ => None,
    }
}

pub(super) fn of_training(error: &train::Error) -> Option<String> {
    use train::Error as E;
    match error {
        E::OptimizerState { .. } => Some(
            "this file does not belong to the adapter beside it: remove it to resume with a fresh optimizer".into(),
        ),
        E::Kernel(_) | E::Candle(_) => {
            Some(MEMORY.into())
        }
        _ => None,
    }
}
