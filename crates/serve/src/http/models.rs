use super::App;
use crate::body;
use crate::catalogue::Entry;
use crate::error::Error;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// All models.
pub async fn list(State(app): State<Arc<App>>) -> Response {
    let entries = app.reader.catalogue.entries();
    let data: Vec<Value> = entries.map(|entry| app.told(entry)).collect();
    body::json(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// The model of a name, which may have slashes in it.
pub async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let catalogue = &app.reader.catalogue;
    match catalogue.entries().find(|entry| entry.id == id) {
        Some(entry) => body::json(StatusCode::OK, &app.told(entry)),
        None => {
            let known: Vec<&str> = catalogue.entries().map(|entry| entry.id.as_str()).collect();
            Error::no_model("model", &id, &known).into_response()
        }
    }
}

impl App {
    fn told(&self, entry: &Entry) -> Value {
        let base = self.reader.catalogue.base_id();
        json!({
            "id": entry.id,
            "object": "model",
            "created": self.created,
            "owned_by": "metal-candle",
            "root": entry.path.as_deref().unwrap_or(base),
            "parent": entry.path.as_ref().map(|_| base),
            "max_model_len": self.reader.max_model_len,
        })
    }
}
