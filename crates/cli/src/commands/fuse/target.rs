use super::Args;
use crate::error::{Error, Result};
use crate::output_folder;
use metal_candle::LanguageModel;
use metal_candle::gguf::GgufFile;

/// Form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Folder of Hugging Face.
    Folder,
    /// GGUF file with the types of the one that is read.
    Gguf,
}

impl Target {
    /// Form that `--save-path` asks for.
    ///
    /// # Errors
    /// When something is there, it cannot be written, or options ask for another form.
    pub(super) fn of(args: &Args) -> Result<Self> {
        let advice = "choose another folder, or remove this one first";
        output_folder::check_new("--save-path", &args.save_path, advice)?;
        let is_file = output_folder::is_gguf_file(&args.save_path);
        output_folder::check_writable("--save-path", &args.save_path)?;
        if !is_file {
            return Ok(Self::Folder);
        }
        let given = [
            ("--dequantize", args.dequantize),
            ("--export-gguf", args.export_gguf),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            let path = args.save_path.display();
            let error = Error::input(format!(
                "{option} writes a folder, and --save-path {path} is a file"
            ));
            return Err(error.with_advice("name a folder"));
        }
        Ok(Self::Gguf)
    }

    /// The number that a GGUF file has for the types of its matrices, where one is written.
    ///
    /// # Errors
    /// When there are no such types, or the file cannot be read.
    pub(super) fn check(self, loaded: &LanguageModel, args: &Args) -> Result<Option<u32>> {
        if self == Self::Folder {
            return Ok(None);
        }
        if !GgufFile::is_at(&loaded.folder) {
            let (path, model) = (args.save_path.display(), &args.model);
            let error = Error::input(format!(
                "--save-path {path} has the types of a GGUF file, and {model} is none"
            ));
            return Err(error.with_advice(
                "fuse into a folder and write that with `metal-candle convert --type TYPE`",
            ));
        }
        let file = GgufFile::open(&loaded.folder)?;
        let number = file.metadata().size("general.file_type")?;
        // Without one llama.cpp looks at the tensors; 0 would say that all are float32.
        Ok(Some(
            number
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(GUESSED),
        ))
    }
}

/// llama.cpp's `LLAMA_FTYPE_GUESSED`: the file does not say.
const GUESSED: u32 = 1024;
