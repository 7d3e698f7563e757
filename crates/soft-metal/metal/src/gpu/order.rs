//! The ordering checker: what each pass may take for finished, and which conflicting accesses nothing orders.
//!
//! Accesses of a kernel are taken as the whole range that is bound; those of the host are seen when it asks for
//! `contents`.

use super::{Access, Command, Known, Op, Pass, lock};
use crate::buffer::SoftBuffer;
use crate::command_buffer::State;
use crate::rules::{Rule, report};
use objc2::DefinedClass;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};

/// A pass that touched a buffer.
#[derive(Clone)]
struct Toucher {
    pass: u64,
    name: Arc<str>,
}

/// What has been done to one buffer.
#[derive(Default)]
struct Track {
    writer: Option<Toucher>,
    readers: Vec<Toucher>,
    last_write_encoded: u64,
    last_read_encoded: u64,
    /// Passes that were committed and write it.
    committed_writers: Vec<Toucher>,
}

#[derive(Default)]
struct Checker {
    /// What the host knows to have finished.
    host: Known,
    buffers: HashMap<usize, Track>,
}

static CHECKER: LazyLock<Mutex<Checker>> = LazyLock::new(Mutex::default);

pub fn host() -> Known {
    lock(&CHECKER).host.clone()
}

pub fn host_learns(done: &Known) {
    lock(&CHECKER).host.extend(done);
}

/// The memory is given back: another buffer at the same address is another buffer.
pub fn forget(address: usize) {
    lock(&CHECKER).buffers.remove(&address);
}

/// Numbers the passes of a command buffer, and remembers what they will write.
pub fn committed(state: &mut State) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut checker = lock(&CHECKER);
    let Checker { host, buffers } = &mut *checker;
    for op in &mut state.ops {
        let Op::Pass(pass) = op else { continue };
        pass.number = NEXT.fetch_add(1, SeqCst);
        count_updates(pass);
        let toucher = Toucher { pass: pass.number, name: pass.name() };
        for write in pass.commands.iter().flat_map(accesses).filter(|a| a.write) {
            let track = buffers.entry(write.buffer.ivars().address()).or_default();
            if track.committed_writers.last().is_none_or(|t| t.pass != toucher.pass) {
                // The host may never ask for this buffer.
                track.committed_writers.retain(|t| !host.contains(t.pass));
                track.committed_writers.push(toucher.clone());
            }
        }
    }
}

/// A pass waits for what was committed before it, its own updates excluded.
fn count_updates(pass: &mut Pass) {
    for command in &mut pass.commands {
        if let Command::WaitFence(fence, updates) = command {
            *updates = fence.ivars().commit_wait();
        }
    }
    for command in &pass.commands {
        if let Command::UpdateFence(fence) = command {
            fence.ivars().commit_update();
        }
    }
}

fn accesses(command: &Command) -> &[Access] {
    match command {
        Command::Run { accesses, .. } => accesses,
        _ => &[],
    }
}

/// The host asks for the contents of a buffer: every committed pass that writes it must be known to have finished.
pub fn host_touches(buffer: &SoftBuffer) {
    let mut checker = lock(&CHECKER);
    let Checker { host, buffers } = &mut *checker;
    let Some(track) = buffers.get_mut(&buffer.ivars().address()) else { return };
    track.committed_writers.retain(|t| !host.contains(t.pass));
    if let Some(t) = track.committed_writers.first() {
        report(Rule::HostAccess, &buffer.ivars().name, format!("contents, while {} writes it", t.name));
        track.committed_writers.clear();
    }
}

/// One access since the last barrier of a pass.
struct Recent {
    buffer: usize,
    offset: usize,
    end: usize,
    write: bool,
    what: String,
}

/// Follows one pass through its commands.
pub struct PassChecker {
    me: Toucher,
    concurrent: bool,
    known: Known,
    recent: Vec<Recent>,
}

impl PassChecker {
    pub fn new(pass: &Pass, known: Known) -> Self {
        let me = Toucher { pass: pass.number, name: pass.name() };
        Self { me, concurrent: pass.concurrent, known, recent: vec![] }
    }

    pub fn pass(&self) -> &str {
        &self.me.name
    }

    pub fn known(self) -> Known {
        self.known
    }

    pub fn learn(&mut self, other: &Known) {
        self.known.extend(other);
    }

    /// What has finished when the pass has.
    pub fn done(&self) -> Known {
        let mut done = self.known.clone();
        done.insert(self.me.pass);
        done
    }

    pub fn barrier(&mut self) {
        self.recent.clear();
    }

    /// Before a command runs.
    pub fn check(&mut self, what: &str, accesses: &[Access]) {
        if !self.concurrent {
            self.barrier();
        }
        let mut checker = lock(&CHECKER);
        for access in accesses {
            let track = checker.buffers.entry(access.buffer.ivars().address()).or_default();
            self.check_written(what, access);
            self.learn_tracked(access, track);
            self.check_ordered(what, access, track);
            self.check_encoding_order(what, access, track);
            self.record(access, track);
        }
        drop(checker);
        self.check_overlap(what, accesses);
    }

    fn check_written(&self, what: &str, access: &Access) {
        let v = access.buffer.ivars();
        if access.write {
            v.written.store(true, SeqCst);
        } else if access.len > 0 && !v.written.swap(true, SeqCst) {
            report(Rule::UnwrittenRead, &v.name, format!("{what} in {}", self.me.name));
        }
    }

    /// Metal itself orders the passes that use a tracked buffer.
    fn learn_tracked(&mut self, access: &Access, track: &Track) {
        if access.buffer.ivars().tracked() {
            for t in track.writer.iter().chain(&track.readers) {
                self.known.insert(t.pass);
            }
        }
    }

    fn unordered(&self, other: &Toucher) -> bool {
        other.pass != self.me.pass && !self.known.contains(other.pass)
    }

    fn check_ordered(&self, what: &str, access: &Access, track: &Track) {
        let name = &access.buffer.ivars().name;
        if let Some(writer) = track.writer.as_ref().filter(|w| self.unordered(w)) {
            let (rule, verb) =
                if access.write { (Rule::WriteAfterWrite, "overwrites") } else { (Rule::ReadAfterWrite, "reads") };
            report(
                rule,
                name,
                format!("{what} in {} {verb} what {} writes, with nothing ordering them", self.me.name, writer.name),
            );
        }
        if access.write {
            for reader in track.readers.iter().filter(|r| self.unordered(r)) {
                report(
                    Rule::WriteAfterRead,
                    name,
                    format!(
                        "{what} in {} overwrites what {} reads, with nothing ordering them",
                        self.me.name, reader.name
                    ),
                );
            }
        }
    }

    fn check_encoding_order(&self, what: &str, access: &Access, track: &Track) {
        let late =
            access.encoded < track.last_write_encoded || (access.write && access.encoded < track.last_read_encoded);
        if late {
            report(Rule::EncodedLater, &access.buffer.ivars().name, format!("{what} in {}", self.me.name));
        }
    }

    fn record(&self, access: &Access, track: &mut Track) {
        if access.write {
            track.writer = Some(self.me.clone());
            track.readers.clear();
            track.last_write_encoded = access.encoded;
        } else {
            if !track.readers.iter().any(|r| r.pass == self.me.pass) {
                track.readers.push(self.me.clone());
            }
            track.last_read_encoded = access.encoded;
        }
    }

    /// Dispatches of a concurrent pass run at the same time up to the next barrier.
    fn check_overlap(&mut self, what: &str, accesses: &[Access]) {
        let mine: Vec<Recent> = accesses
            .iter()
            .map(|a| Recent {
                buffer: a.buffer.ivars().address(),
                offset: a.offset,
                end: a.offset + a.len,
                write: a.write,
                what: what.into(),
            })
            .collect();
        for (a, access) in mine.iter().zip(accesses) {
            let conflict = self
                .recent
                .iter()
                .find(|r| r.buffer == a.buffer && (r.write || a.write) && r.offset < a.end && a.offset < r.end);
            if let Some(r) = conflict {
                let name = &access.buffer.ivars().name;
                report(Rule::MissingBarrier, name, format!("{} and {what} in {}", r.what, self.me.name));
            }
        }
        self.recent.extend(mine);
    }
}
