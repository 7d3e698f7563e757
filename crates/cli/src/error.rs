//! Errors as a person reads them: what went wrong, what to do about it, and the exit code.

use crate::exit::Exit;
use metal_candle::{data, files, fine_tune, gguf, language_model, lora, models, train};
use std::fmt::Display;

mod adapter_advice;
mod advice;

/// The reason why a command cannot do what it was asked, for a person to read.
#[derive(Debug)]
pub struct Error {
    message: String,
    advice: Option<String>,
    exit: Exit,
}

/// Result of a command or a part of one.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Something that was given cannot be used.
    pub fn input(message: impl Display) -> Self {
        Self::new(message, Exit::BadInput)
    }

    /// Something went wrong while a command ran.
    pub fn failed(message: impl Display) -> Self {
        Self::new(message, Exit::Failed)
    }

    /// Standard output does not take the result. A reader that has read enough, as `head` does,
    /// is no failure.
    pub fn output(source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new("", Exit::Done),
            _ => Self::failed(format!("cannot write to standard output: {source}")),
        }
    }

    fn new(message: impl Display, exit: Exit) -> Self {
        Self {
            message: message.to_string(),
            advice: None,
            exit,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    fn with_optional_advice(mut self, advice: Option<String>) -> Self {
        self.advice = advice;
        self
    }

    /// What went wrong; empty when nobody is there to read it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Self::new(&error, exit_of_file(&error)).with_optional_advice(advice::of_file(&error))
    }
}

impl From<data::Error> for Error {
    fn from(error: data::Error) -> Self {
        let exit = match &error {
            data::Error::File(file) | data::Error::Gguf(gguf::Error::File(file)) => {
                exit_of_file(file)
            }
            _ => Exit::BadInput,
        };
        Self::new(&error, exit).with_optional_advice(advice::of_data(&error))
    }
}

impl From<data::RowError> for Error {
    fn from(error: data::RowError) -> Self {
        Self::input(error)
    }
}

impl From<language_model::Error> for Error {
    fn from(error: language_model::Error) -> Self {
        match error {
            language_model::Error::Model(error) => error.into(),
            language_model::Error::Data(error) => error.into(),
            language_model::Error::Adapter(error) => error.into(),
            language_model::Error::Training(error) => (*error).into(),
            other => Self::input(other.to_string()),
        }
    }
}

impl From<fine_tune::Error> for Error {
    fn from(error: fine_tune::Error) -> Self {
        match error {
            fine_tune::Error::Model(error) => error.into(),
            fine_tune::Error::Data(error) => error.into(),
            fine_tune::Error::Adapter(error) => (*error).into(),
            fine_tune::Error::Training(error) => (*error).into(),
            fine_tune::Error::LanguageModel(error) => (*error).into(),
            fine_tune::Error::OwnFolder { .. } => Self::input(&error)
                .with_advice("choose another --adapter-path: the model would be overwritten"),
            fine_tune::Error::OtherMethod { .. } => {
                Self::input(&error).with_advice("leave --fine-tune-type out to go on with it")
            }
        }
    }
}

impl From<models::Error> for Error {
    fn from(error: models::Error) -> Self {
        let exit = match &error {
            models::Error::File(file) | models::Error::Gguf(gguf::Error::File(file)) => {
                exit_of_file(file)
            }
            models::Error::NotFinite { .. }
            | models::Error::Kernel(_)
            | models::Error::Candle(_) => Exit::Failed,
            _ => Exit::BadInput,
        };
        Self::new(&error, exit).with_optional_advice(advice::of_model(&error))
    }
}

impl From<gguf::Error> for Error {
    fn from(error: gguf::Error) -> Self {
        models::Error::from(error).into()
    }
}

impl From<lora::Error> for Error {
    fn from(error: lora::Error) -> Self {
        let exit = match &error {
            lora::Error::File(file) => exit_of_file(file),
            lora::Error::Memory { .. }
            | lora::Error::Overflow { .. }
            | lora::Error::Kernel(_)
            | lora::Error::Candle(_) => Exit::Failed,
            _ => Exit::BadInput,
        };
        Self::new(&error, exit).with_optional_advice(adapter_advice::of_lora(&error))
    }
}

impl From<train::Error> for Error {
    fn from(error: train::Error) -> Self {
        match error {
            train::Error::File(error) => error.into(),
            train::Error::Lora(error) => (*error).into(),
            train::Error::Model(error) => error.into(),
            train::Error::Setting { .. }
            | train::Error::Occupied { .. }
            | train::Error::Packed { .. }
            | train::Error::Busy { .. }
            | train::Error::Stray { .. }
            | train::Error::Unsaved { .. } => {
                Self::input(&error).with_optional_advice(advice::of_training(&error))
            }
            _ => Self::failed(&error).with_optional_advice(advice::of_training(&error)),
        }
    }
}

impl From<metal_candle_kernels::Error> for Error {
    fn from(error: metal_candle_kernels::Error) -> Self {
        Self::failed(&error).with_optional_advice(advice::of_gpu(&error))
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(&error).with_optional_advice(advice::of_gpu(&error))
    }
}

/// A file that cannot be read is bad input; one that cannot be written, or has no room in memory, is a failed run.
fn exit_of_file(error: &files::Error) -> Exit {
    match (error.action, error.source.kind()) {
        ("write" | "create", _) | (_, std::io::ErrorKind::OutOfMemory) => Exit::Failed,
        _ => Exit::BadInput,
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use metal_candle::{files, lora, models, train};
    use std::path::Path;

    /// macOS's watchdog, on every way that candle's error takes.
    #[test]
    fn work_that_the_system_ended_is_told_with_advice() {
        let text = "Command buffer had following error: Impacting Interactivity \
                    (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)";
        let candle = || candle_core::Error::msg(text);
        let writing = files::Error::at("write", Path::new("adapter_model.safetensors"));
        let errors = [
            Error::from(candle()),
            metal_candle_kernels::Error::from(candle()).into(),
            models::Error::from(candle()).into(),
            lora::Error::from(candle()).into(),
            train::Error::from(models::Error::from(candle())).into(),
            train::Error::from(candle()).into(),
            writing(std::io::Error::other(candle())).into(),
        ];
        for error in errors {
            let advice = error.advice().unwrap_or_default();
            assert!(advice.contains("--batch-size"), "{error:?}");
            assert!(advice.contains("close programs"), "{error:?}");
        }
    }
}
