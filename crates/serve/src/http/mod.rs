//! Routes and connections.

mod cors;
mod key;
mod models;

use crate::body;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::reply::{Reply, streamed};
use crate::request::{Asked, Endpoint, Reader};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::json;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest body in bytes.
const MOST_BYTES: usize = 32 << 20;
/// Bodies that are read, and conversations that are rendered, at once.
const N_READERS: usize = 4;

/// Parts of the server that handlers share.
pub struct App {
    /// Reader of requests.
    pub reader: Arc<Reader>,
    /// Places of texts that run or wait.
    pub places: Arc<Semaphore>,
    /// Where jobs go.
    pub jobs: Sender<Job>,
    /// Whether the server is stopping.
    pub closing: Receiver<bool>,
    /// When the server was started, in seconds since 1970.
    pub created: u64,
}

/// Answers connections of `listener` until the server is stopping and all of them have ended.
///
/// # Errors
/// When the system refuses what connections need.
pub fn serve(listener: std::net::TcpListener, app: App) -> std::io::Result<()> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(N_READERS);
    runtime.build()?.block_on(async {
        // Pieces are small, and are to leave at once.
        let listener = TcpListener::from_std(listener)?.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let mut closing = app.closing.clone();
        let stopped = async move {
            let _ = closing.wait_for(|closing| *closing).await;
        };
        axum::serve(listener, routes(app))
            .with_graceful_shutdown(stopped)
            .await
    })
}

fn routes(app: App) -> Router {
    let app = Arc::new(app);
    let api = Router::new()
        .route("/chat/completions", post(chat))
        .route("/completions", post(completions))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .layer(from_fn_with_state(app.clone(), key::check));
    Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .route("/health", get(health))
        .fallback(async |uri: Uri| Error::no_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            Error::method(method.as_str(), uri.path())
        })
        .layer(from_fn_with_state(app.clone(), cors::allow))
        .with_state(app)
}

async fn chat(State(app): State<Arc<App>>, request: Request) -> Response {
    answered(app, Endpoint::Chat, request.into_body()).await
}

async fn completions(State(app): State<Arc<App>>, request: Request) -> Response {
    answered(app, Endpoint::Completions, request.into_body()).await
}

async fn answered(app: Arc<App>, endpoint: Endpoint, body: Body) -> Response {
    let answer = app.answer(endpoint, body).await;
    answer.unwrap_or_else(IntoResponse::into_response)
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, word) = match *app.closing.borrow() {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    body::json(status, &json!({"status": word}))
}

impl App {
    async fn answer(&self, endpoint: Endpoint, body: Body) -> Result<Response> {
        let body = to_bytes(body, MOST_BYTES)
            .await
            .map_err(|_| Error::too_large(MOST_BYTES))?;
        let reader = self.reader.clone();
        let asked = tokio::task::spawn_blocking(move || reader.read(endpoint, &body));
        let asked = asked.await.map_err(Error::failed)??;
        let places = self.places(asked.texts.len())?;
        let reply = Reply::new(self.reader.clone(), endpoint, &asked);
        let (events, coming) = unbounded_channel();
        let stream = asked.stream;
        let Asked {
            model, texts, stop, ..
        } = asked;
        let job = Job {
            model,
            texts,
            stop,
            events,
            places,
        };
        let sent = self.jobs.send(job);
        sent.map_err(|_| Error::unavailable("the server is stopping"))?;
        match stream {
            true => Ok(streamed(reply, coming)),
            false => Ok(body::json(StatusCode::OK, &reply.whole(coming).await?)),
        }
    }

    /// Places for `n` texts.
    fn places(&self, n: usize) -> Result<OwnedSemaphorePermit> {
        if *self.closing.borrow() {
            return Err(Error::unavailable("the server is stopping"));
        }
        let most = self.reader.n_places();
        if n > most {
            let message =
                format!("the request asks for {n} texts, and the server takes {most} at once");
            return Err(Error::request(message));
        }
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let places = self.places.clone().try_acquire_many_owned(n);
        places.map_err(|_| {
            Error::unavailable(format_args!(
                "{most} texts are being answered or wait already"
            ))
        })
    }
}
