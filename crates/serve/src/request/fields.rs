use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// Fields of a body that nobody has taken yet.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; fields that are null are as if they were not there.
    pub fn read(body: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Error::request(format_args!("the body is not JSON: {error}")))?;
        match value {
            Value::Object(mut fields) => {
                fields.retain(|_, value| !value.is_null());
                Ok(Self(fields))
            }
            other => Err(Error::request(format_args!(
                "the body must be a JSON object, got {other}"
            ))),
        }
    }

    /// Takes a field.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    /// Takes a field that `read` gives something of, which must be `expected`.
    pub fn taken<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(Error::expected(name, expected, &value)),
        }
    }

    /// A string.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.taken(name, "a string", |value| value.as_str().map(String::from))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.taken(name, "true or false", Value::as_bool)
    }

    /// A number in float32 between two others, both included.
    pub fn number(&mut self, name: &str, (least, most): (f32, f32)) -> Result<Option<f32>> {
        let expected = match (least, most) {
            (f32::MIN, f32::MAX) => "a number".to_string(),
            (_, f32::MAX) => format!("a number of at least {least}"),
            _ => format!("a number from {least} to {most}"),
        };
        self.taken(name, &expected, |value| {
            let number = value.as_f64()? as f32;
            (least..=most).contains(&number).then_some(number)
        })
    }

    /// A whole number between two others, both included.
    pub fn count(&mut self, name: &str, (least, most): (usize, usize)) -> Result<Option<usize>> {
        let expected = match most {
            usize::MAX => format!("a whole number of at least {least}"),
            _ => format!("a whole number from {least} to {most}"),
        };
        self.taken(name, &expected, |value| {
            let number = usize::try_from(value.as_u64()?).ok()?;
            (least..=most).contains(&number).then_some(number)
        })
    }

    /// An object.
    pub fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>> {
        self.taken(name, "an object", |value| value.as_object().cloned())
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When a field is left.
    pub fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} is not a field that this server knows");
                Err(Error::field(name, message).with_code("unknown_parameter"))
            }
        }
    }
}
