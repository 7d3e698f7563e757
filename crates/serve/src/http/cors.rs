use super::App;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Tells browsers which pages may read replies, as `mlx_lm.server` does.
pub async fn allow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let allowed = &app.reader.settings.allowed_origins;
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    let is_named = |origin: &HeaderValue| {
        allowed
            .iter()
            .any(|name| name.as_bytes() == origin.as_bytes())
    };
    if allowed.iter().any(|name| name == "*") {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    } else if let Some(origin) = origin.filter(is_named) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, any);
    // The star does not stand for this one.
    let names = HeaderValue::from_static("*, Authorization");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    response
}
