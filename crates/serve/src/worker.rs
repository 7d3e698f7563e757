//! The thread that owns the engine: takes jobs, steps, hands out what comes.

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::job::{Event, Job, Piece};
use crate::settings::Settings;
use metal_candle::generate::{Engine, Request, SequenceId, Step, Text};
use metal_candle::models::{self, Decoder};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Time after which an idle engine looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(50);

/// Worker of one engine.
pub struct Worker<'a> {
    catalogue: &'a Catalogue,
    engine: Engine<'a>,
    concurrency: usize,
    waiting: VecDeque<(Request, Running<'a>)>,
    running: HashMap<SequenceId, Running<'a>>,
}

/// A text that somebody waits for.
struct Running<'a> {
    number: usize,
    text: Text<'a>,
    events: UnboundedSender<Event>,
    /// Given back when the last text of its request is done.
    _places: Arc<OwnedSemaphorePermit>,
}

impl Running<'_> {
    fn send(&self, piece: Result<Piece, Error>) {
        let text = self.number;
        // A client that has left is noticed in the next round.
        let _ = self.events.send(Event { text, piece });
    }
}

impl<'a> Worker<'a> {
    /// A worker without texts.
    pub fn new(decoder: &'a Decoder, catalogue: &'a Catalogue, settings: &Settings) -> Self {
        Self {
            catalogue,
            engine: Engine::new(decoder).with_prefill_tokens(settings.prefill_tokens),
            concurrency: settings.concurrency.max(1),
            waiting: VecDeque::new(),
            running: HashMap::new(),
        }
    }

    /// Works until no more jobs can come. `closing` is asked in every round: whether the server is stopping, and if so
    /// whether an idle worker is to wait for connections no longer.
    pub fn run(mut self, jobs: &Receiver<Job>, mut closing: impl FnMut() -> Option<bool>) {
        loop {
            let taken = self.take(jobs);
            let closing = closing();
            if closing.is_some() {
                self.refuse_waiting();
            }
            self.forget_left();
            let is_last = taken.is_err() || closing == Some(true);
            if is_last && self.is_idle() {
                return;
            }
            self.admit();
            self.step();
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Takes jobs that have come; an idle worker waits for one.
    fn take(&mut self, jobs: &Receiver<Job>) -> Result<(), Gone> {
        if self.is_idle() {
            match jobs.recv_timeout(IDLE) {
                Ok(job) => self.enqueue(job),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
            }
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => self.enqueue(job),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
        }
    }

    fn enqueue(&mut self, job: Job) {
        let places = Arc::new(job.places);
        let tokenizer = &self.catalogue.entry(job.model).tokenizer;
        for (number, request) in job.texts.into_iter().enumerate() {
            let running = Running {
                number,
                text: Text::new(tokenizer, &job.stop),
                events: job.events.clone(),
                _places: places.clone(),
            };
            self.waiting.push_back((request, running));
        }
    }

    fn refuse_waiting(&mut self) {
        for (_, text) in self.waiting.drain(..) {
            text.send(Err(Error::unavailable("the server is stopping")));
        }
    }

    /// Gives up the texts of clients that have left.
    fn forget_left(&mut self) {
        self.waiting.retain(|(_, text)| !text.events.is_closed());
        let engine = &mut self.engine;
        self.running.retain(|id, text| {
            let is_there = !text.events.is_closed();
            if !is_there {
                engine.remove(*id);
            }
            is_there
        });
    }

    fn admit(&mut self) {
        while self.running.len() < self.concurrency {
            let Some((request, text)) = self.waiting.pop_front() else {
                return;
            };
            match self.engine.insert(request) {
                Ok(id) => drop(self.running.insert(id, text)),
                Err(error) => text.send(Err(Error::request(error))),
            }
        }
    }

    fn step(&mut self) {
        match self.engine.step() {
            Ok(steps) => {
                for (id, step) in steps {
                    self.pass_on(id, step);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Sends what came of a step; a text that has ended leaves.
    fn pass_on(&mut self, id: SequenceId, step: models::Result<Step>) {
        let Some(text) = self.running.get_mut(&id) else {
            return;
        };
        let piece = piece(&mut text.text, step);
        let goes_on = matches!(&piece, Ok(Piece { finished: None, .. }));
        text.send(piece);
        if !goes_on {
            self.engine.remove(id);
            self.running.remove(&id);
        }
    }

    /// A step that failed fails all texts: what they have in memory may not be whole.
    fn fail(&mut self, error: &models::Error) {
        tracing::warn!("a step of {} texts failed: {error}", self.running.len());
        for (id, text) in self.running.drain() {
            self.engine.remove(id);
            text.send(Err(Error::failed(format_args!(
                "the model failed: {error}"
            ))));
        }
    }
}

/// Nobody is left who could send jobs.
struct Gone;

fn piece(text: &mut Text<'_>, step: models::Result<Step>) -> Result<Piece, Error> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!("a text failed: {error}");
        Error::failed(format_args!("the model failed: {error}"))
    };
    let step = step.map_err(|error| failed(&error))?;
    let piece = text.push(&step).map_err(|error| failed(&error))?;
    let token = match step {
        Step::Token(token) => Some(token),
        Step::Finished(_) => None,
    };
    Ok(Piece {
        text: piece.text,
        token,
        finished: piece.finished,
    })
}
