use crate::body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::{self, Display};

/// Reason why a request has no answer, as OpenAI's interface tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

/// Result of a part of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// Seconds after which a client may try again.
const RETRY_AFTER_SECS: &str = "1";

impl Error {
    fn new(status: StatusCode, message: impl Display) -> Self {
        Self {
            status,
            message: message.to_string(),
            param: None,
            code: None,
        }
    }

    /// 400 for a request as a whole.
    pub(crate) fn request(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400 for a field.
    pub(crate) fn field(name: &str, message: impl Display) -> Self {
        let param = Some(name.to_string());
        Self {
            param,
            ..Self::request(message)
        }
    }

    /// 400 for a field of another type or range.
    pub(crate) fn expected(name: &str, expected: impl Display, got: &Value) -> Self {
        Self::field(
            name,
            format_args!("{name} must be {expected}, got {}", shown(got)),
        )
    }

    /// The error under one of the codes that clients look for.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        let code = Some(code);
        Self { code, ..self }
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        let message = "the header Authorization must be \"Bearer\" and the server's --api-key";
        Self::new(StatusCode::UNAUTHORIZED, message).with_code("invalid_api_key")
    }

    /// 404 for a model or an adapter.
    pub(crate) fn no_model(field: &str, name: &str, known: &[&str]) -> Self {
        let known = known.join(", ");
        let message = format!("{field} {name:?} is not served; served: {known}");
        let error = Self::new(StatusCode::NOT_FOUND, message).with_code("model_not_found");
        let param = Some(field.to_string());
        Self { param, ..error }
    }

    /// 404 for a path.
    pub(crate) fn no_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format_args!("nothing is at {path}"))
    }

    /// 405.
    pub(crate) fn method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// 413.
    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("the body is over the limit of {limit_bytes} bytes, or was cut off");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 500.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 503, which a client may try again.
    pub(crate) fn unavailable(message: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// OpenAI's error object.
    pub(crate) fn body(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            503 => "overloaded_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let Self {
            message,
            param,
            code,
            ..
        } = self;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = body::json(self.status, &self.body());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let value = HeaderValue::from_static(RETRY_AFTER_SECS);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// A value as a message may show it.
fn shown(value: &Value) -> String {
    const MOST_CHARS: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
