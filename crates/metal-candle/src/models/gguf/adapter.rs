use super::architecture::Architecture;
use crate::lora::format::gguf::Matrices;
use crate::models::{Error, Model};
use candle_core::{Result, Tensor};

impl Matrices for Model {
    fn architecture(&self) -> Option<&str> {
        of(self).map(|architecture| architecture.name)
    }

    fn model_type(&self) -> &str {
        &self.config.model_type
    }

    fn name(&self, path: &str) -> Option<String> {
        of(self)?.in_file(&format!("{path}.weight"))
    }

    fn rows(&self, path: &str, rows: &Tensor) -> Result<Tensor> {
        let Some(architecture) = of(self) else {
            return Ok(rows.clone());
        };
        let change = self.change(architecture, &format!("{path}.weight"));
        change.apply(rows).map_err(|error| match error {
            Error::Candle(error) => error,
            other => candle_core::Error::Msg(other.to_string()),
        })
    }
}

fn of(model: &Model) -> Option<&'static Architecture> {
    Architecture::of_model_type(&model.config.model_type)
}
