use crate::catalogue::Catalogue;
use crate::http::{self, App};
use crate::identity;
use crate::request::Reader;
use crate::settings::Settings;
use crate::worker::Worker;
use metal_candle::models::Model;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Time that connections have after the last text of a server that stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Server that is bound to an address.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes an address; port 0 is one that is free.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn bind(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// The address.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until `should_stop`, which is asked in every round: then texts that run are finished, and all
    /// others refused. The engine works on this thread, connections on another.
    ///
    /// # Errors
    /// When the system refuses what connections need.
    pub fn run(
        self,
        model: &Model,
        catalogue: Catalogue,
        settings: Settings,
        should_stop: impl Fn() -> bool,
    ) -> io::Result<()> {
        let reader = Arc::new(Reader::new(model, catalogue, settings));
        let (jobs, coming) = mpsc::channel();
        let (close, closing) = watch::channel(false);
        let app = App {
            places: Arc::new(Semaphore::new(reader.n_places())),
            reader: reader.clone(),
            jobs,
            closing,
            created: identity::now_secs(),
        };
        let listener = self.listener;
        let connections = thread::Builder::new().name("connections".into());
        let connections = connections.spawn(move || http::serve(listener, app))?;
        let worker = Worker::new(&model.decoder, &reader.catalogue, &reader.settings);
        let mut since: Option<Instant> = None;
        worker.run(&coming, || {
            if since.is_none() && should_stop() {
                since = Some(Instant::now());
                close.send_replace(true);
            }
            since.map(|since| since.elapsed() > FAREWELL)
        });
        match connections.is_finished() {
            true => connections.join().unwrap_or(Ok(())),
            // Somebody does not read its answer, and is not waited for.
            false => Ok(()),
        }
    }
}
