//! Advice about each error of the library.

use crate::shell;
use metal_candle::device::GpuFailure;
use metal_candle::{data, files, gguf, models, train};
use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::path::Path;

const MEMORY: &str =
    "if memory ran out: a smaller --batch-size, --max-seq-length, or --grad-checkpoint";

pub(super) fn of_file(error: &files::Error) -> Option<String> {
    let folder = folder_of(&error.path).display();
    match (kind(&error.source), error.action) {
        (ErrorKind::NotFound, "write" | "create") => None,
        (ErrorKind::NotFound, _) => Some("check the path".into()),
        (ErrorKind::IsADirectory, "read") => Some("this is a folder: name a file in it".into()),
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
        _ => of_gpu(error),
    }
}

/// The folder that is to be written into, not one that is only its beginning.
fn folder_of(path: &Path) -> &Path {
    let is_begun = |part: &Path| {
        part.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(files::UNFINISHED))
    };
    match path.parent() {
        Some(folder) if is_begun(folder) => folder_of(folder),
        folder => folder.unwrap_or(path),
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
        E::NotRows { format, .. } => Some(of_format(*format)),
        E::Container { .. } => Some("the file is incomplete or another than its name says: copy or export it again".into()),
        E::ManyFiles { .. } => Some(
            "name one of them with --data, or the folder that it is in; of a data set of the hub the beginning of its name: \
             hf://datasets/OWNER/NAME/BEGINNING"
                .into(),
        ),
        E::HasValid { .. } => Some("leave --valid-split out".into()),
        E::NoSplit { .. } => Some("put the rows into a folder as train.jsonl, valid.jsonl and test.jsonl".into()),
        E::EmptyFile { path } => Some(of_empty(path)),
        E::NothingToTrain { .. } => Some(
            "look at a row with `metal-candle inspect --model MODEL --data FILE --row 1 --mask-prompt`; \
             a short --max-seq-length cuts the end of a row, where the answer is"
                .into(),
        ),
        E::MaxSeqLength { limit, .. } => Some(format!("use --max-seq-length {limit} or less")),
        E::MissingSplit { .. } => {
            Some("--data names a folder with train.jsonl and, if wanted, valid.jsonl and test.jsonl, or a file of rows".into())
        }
        E::OtherTokenizer { folder, .. } => {
            let folder = folder.display();
            Some(format!(
                "make tokenizer.json from it: python -c 'from transformers import AutoTokenizer; \
                 AutoTokenizer.from_pretrained(\"{folder}\").save_pretrained(\"{folder}\")'"
            ))
        }
        E::NoTokenizer { .. } => Some("copy tokenizer.json from the repository that the model comes from".into()),
        E::NoChatTemplate { .. } => Some("use --ignore-chat-template, or put a chat_template.jinja there".into()),
        E::NoEosToken { .. } => Some("name the eos_token in tokenizer_config.json".into()),
        _ => None,
    }
}

/// How a file of its kind gets rows.
fn of_empty(path: &Path) -> String {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz");
    match name.ends_with(".csv") || name.ends_with(".tsv") {
        true => "the first line names the columns, and each further one is a row".into(),
        false => "put one JSON object on each line, for example {\"text\": \"...\"}".into(),
    }
}

fn of_row(error: &data::RowError) -> Option<String> {
    use data::RowError as E;
    match error {
        E::Json(_) | E::NotAnObject { .. } => {
            Some("each row must be one JSON object; mend or remove this one".into())
        }
        E::UnknownKind { .. } | E::Ambiguous { .. } | E::NoColumn { .. } => Some(
            "name the columns: --prompt-key and --completion-key, --chat-key, or --text-key".into(),
        ),
        E::Record(_) => Some("mend or remove this row, or export the table again, in UTF-8".into()),
        E::UnknownRole { .. } => Some("rename the role".into()),
        E::OtherKind { .. } => {
            Some("all rows of a file must be of one kind: mend or remove this row, or split the file".into())
        }
        E::TokenOutOfRange { .. } => Some(OTHER_TOKENIZER.into()),
        E::MaskedText => Some("leave --mask-prompt out".into()),
        E::MarkNeedsMask { .. } => Some("add --mask-prompt, or remove the mark".into()),
        E::MarkOfOther { .. } => Some(
            "remove the mark; without --mask-prompt the turns of everybody are trained".into(),
        ),
        E::MarksDiffer { .. } => Some("keep one of the two".into()),
        E::Weight { .. } => Some(
            "weights between are not built: write 0 to leave it out, or repeat the row to give it more weight".into(),
        ),
        E::Preference { .. } => Some(
            "learn which of two answers is better with --train-mode dpo or orpo, from rows with \"chosen\" and \"rejected\"; or \
             keep the answers to be learnt, as \"prompt\" and \"completion\" or as \"messages\"; --completion-key chosen \
             (--chat-key where whole conversations are chosen, --text-key where texts are) trains those chosen alone"
                .into(),
        ),
        E::NotPreference { .. } => Some(
            "each row needs \"chosen\" and \"rejected\", and may have \"prompt\"; --train-mode sft learns from rows of one answer".into(),
        ),
        E::MarkedCompletion => Some("remove the mark, or the row".into()),
        E::Encode(error) => of_data(error),
        E::Media { .. } | E::NotAText { .. } => {
            Some("remove these rows, or put what they show into words".into())
        }
        E::Text { .. } => Some(
            "mend or remove this row; a column that pandas wrote as Python prints lists becomes JSON with json.dumps before".into(),
        ),
        E::Unreadable { .. } | E::WrongType { .. } => Some("mend or remove this row".into()),
        _ => None,
    }
}

/// How a file becomes JSONL.
fn of_format(format: data::FileFormat) -> String {
    use data::FileFormat as F;
    match format {
        F::Utf16 => "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW_FILE",
        F::Bzip2 | F::Xz => "unpack it first",
        F::Zip => "unpack it first; save a spreadsheet as CSV in UTF-8",
        F::PlainText => "make a row of each line: jq -cR '{text: .}' FILE > train.jsonl",
        F::Arrow => "convert it: python -c \"import datasets; datasets.Dataset.from_file('FILE').to_json('train.jsonl')\"",
        F::JsonOverLines => "convert it: jq -c . FILE > train.jsonl",
        F::Sqlite => "export its rows as JSON, one object on each line",
        F::LfsPointer => "fetch the file itself: git lfs pull",
        F::Html => "download the file itself: this is likely a page about it, or an error of the server",
    }
    .into()
}

const OTHER_TOKENIZER: &str = "the tokenizer is that of another model: take tokenizer.json and config.json from the \
                               same checkpoint";

pub(super) fn of_model(error: &models::Error) -> Option<String> {
    use models::Error as E;
    match error {
        E::File(error) | E::Gguf(gguf::Error::File(error)) => of_file(error),
        E::NoCheckpoint { .. } => {
            Some("--model names a folder with config.json, tokenizer.json and safetensors, or a Hugging Face id".into())
        }
        E::Foreign { found, .. } => Some(of_found(found)),
        E::UnknownFields { .. } => Some(
            "this version does not compute what these fields may ask for; if you know that they change nothing, \
             remove them from a copy of config.json"
                .into(),
        ),
        E::MissingShards { .. } | E::Safetensors { .. } | E::Gguf(gguf::Error::Damaged { .. }) => {
            Some("the download or copy is incomplete: fetch the files again".into())
        }
        E::Tensors { .. } => {
            Some("configuration and tensors must be of the same checkpoint, complete and undamaged".into())
        }
        E::TokenOutOfRange { .. } => Some(OTHER_TOKENIZER.into()),
        E::TooLong { .. } => Some("shorten the text, or cut rows with --max-seq-length".into()),
        E::PackedVocabulary { .. } => Some(
            "take the model in float16, bfloat16 or float32, without --load-in-4bit: of a GGUF file, \
             metal-candle convert --type bf16"
                .into(),
        ),
        E::EmptyPrompt => Some("give a --prompt that is not empty".into()),
        _ => of_gpu(error),
    }
}

fn of_found(found: &models::Found) -> String {
    use models::Found as F;
    match found {
        F::PeftAdapter { .. } | F::MlxAdapter => "name the adapter with --adapter-path, and its base model with --model".into(),
        F::Weights { format, .. } if format.starts_with("PyTorch") => {
            "convert it with transformers: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
                .into()
        }
        F::Weights { .. } => "use the model's original checkpoint in safetensors, which this was made from".into(),
        F::LooseSafetensors { .. } => {
            "rename a single file to model.safetensors; of several, fetch model.safetensors.index.json as well".into()
        }
        F::Quantized { .. } => "use the model that this was made from, in float16, bfloat16 or float32".into(),
        F::Below { folder } => format!("add {folder} to --model"),
        F::OtherKind { .. } => format!("choose a model of one of these types: {}", models::MODEL_TYPES.join(", ")),
    }
}

pub(super) fn of_training(error: &train::Error) -> Option<String> {
    use train::Error as E;
    match error {
        E::OptimizerState { .. } | E::Checkpoint { .. } => Some(
            "the checkpoint is damaged: go on with an earlier one, or copy adapter_config.json and \
             adapter_model.safetensors alone into another folder to start with a fresh optimizer"
                .into(),
        ),
        E::Occupied { folder } => Some(format!(
            "--overwrite replaces it, --resume-adapter-file {} goes on with it; or choose another --adapter-path",
            shell::path(folder)
        )),
        E::Packed { .. } => Some("train an adapter, with --fine-tune-type lora".into()),
        E::Busy { .. } => Some("wait until it ends, or choose another --adapter-path".into()),
        E::Unsaved { .. } => Some(
            "begin again without --resume-adapter-file: nothing of that run would be lost".into(),
        ),
        E::Stray { newest, .. } => Some(format!(
            "--resume-adapter-file {} goes on with the newest checkpoint; to go on with the other adapter, copy \
             adapter_config.json and adapter_model.safetensors into a folder of their own",
            shell::path(newest)
        )),
        E::Kernel(_) | E::Candle(_) => Some(of_gpu(error).unwrap_or_else(|| MEMORY.into())),
        _ => None,
    }
}

/// Where a GPU failed, on the way through any of the libraries.
pub(super) fn of_gpu(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use GpuFailure as F;
    let advice = match GpuFailure::of(error)? {
        F::Interactivity | F::Timeout => {
            "macOS ended work that kept the GPU, and the screen, too long: a smaller --batch-size or --max-seq-length; \
             close programs that use the GPU, and try again"
        }
        F::Victim | F::Ignored => {
            "the GPU was reset by the failure of this or another program's work: try again"
        }
        F::OutOfMemory => {
            "a smaller --batch-size, --max-seq-length, or --grad-checkpoint; close other programs"
        }
        F::PageFault | F::Other => "try again; if it comes back, --device cpu goes without the GPU",
    };
    Some(advice.into())
}
