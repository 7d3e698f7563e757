//! Bodies of replies.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// A reply of one JSON value.
pub fn json(status: StatusCode, value: &Value) -> Response {
    typed(status, "application/json", Body::from(value.to_string()))
}

/// A reply of this type.
pub fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
