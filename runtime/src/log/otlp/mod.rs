//! Log records to an OTLP receiver, from a thread of their own.

mod encode;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_sdk::Resource;
use tracing_core::Level;

use super::fields::Fields;
use super::line::Line;
use super::reminder::Reminder;
use super::span_ids::Ids;
use crate::config::ConfigError;
use crate::config::otlp::OtlpSettings;
use crate::otlp::{Exporter, Sent};
use crate::quiet;

/// How many bytes of records wait at most, whatever their number.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a record takes beside its text.
const OVERHEAD: usize = 256;

/// How records are gathered before they are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// The longest time a record waits for others.
    pub(crate) delay: Duration,
    /// How many records may wait; more are dropped and counted.
    pub(crate) queue: usize,
    /// How many go out together.
    pub(crate) batch: usize,
    /// The time one export may take.
    pub(crate) timeout: Duration,
}

/// The specification's, but for a shorter delay and a longer queue: a busy service fills 2,048 in
/// milliseconds.
impl Default for Batches {
    fn default() -> Self {
        Batches {
            delay: Duration::from_secs(1),
            queue: 65_536,
            batch: 512,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A line as it waits, with its fields rendered and without secrets. It is encoded off the caller's
/// thread.
#[derive(Debug)]
struct Record {
    time: SystemTime,
    level: Level,
    message: String,
    target: String,
    event: Option<&'static str>,
    ids: Option<Ids>,
    span: Option<&'static str>,
    source: Option<(String, u32)>,
    fields: Fields,
}

impl Record {
    fn of(line: &Line<'_>) -> Record {
        Record {
            time: line.time,
            level: line.level,
            message: line.message.to_owned(),
            target: line.target.to_owned(),
            event: line.event,
            ids: line.ids,
            span: line.span,
            source: line.source.map(|(file, number)| (file.to_owned(), number)),
            fields: line.fields.clone(),
        }
    }

    fn bytes(&self) -> usize {
        OVERHEAD + self.message.len() + self.target.len() + self.fields.bytes()
    }
}

/// Where records go. The thread starts with the first one and ends when this is dropped.
pub(super) struct Queue(Arc<Shared>);

/// What a queue and its thread share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There are records to send, or somebody waits for them.
    work: Condvar,
    /// A batch is done.
    done: Condvar,
    written: AtomicU64,
    dropped: AtomicU64,
    description: String,
}

struct State {
    waiting: VecDeque<Record>,
    bytes: usize,
    batches: Batches,
    resource: Option<Resource>,
    /// Records taken in, ever, and of those the ones that were sent or dropped.
    accepted: u64,
    finished: u64,
    /// Up to which record somebody wants them sent without delay.
    wanted: u64,
    /// With so many records waiting, the thread is to be woken: 1 while it sleeps, a batch while it
    /// gathers, none while it sends.
    enough: usize,
    /// Until the thread starts.
    exporter: Option<Exporter<ExportLogsServiceRequest>>,
    reminder: Option<Reminder>,
    closed: bool,
}

/// What the thread is to do.
enum Next {
    Send(Vec<Record>, Batches),
    Ring(Reminder),
}

impl Queue {
    pub(super) fn new(settings: OtlpSettings, batches: Batches) -> Result<Queue, ConfigError> {
        let exporter = Exporter::new(settings)?;
        Ok(Queue(Arc::new(Shared {
            work: Condvar::new(),
            done: Condvar::new(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            description: exporter.describe().to_owned(),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                batches,
                resource: None,
                accepted: 0,
                finished: 0,
                wanted: 0,
                enough: usize::MAX,
                exporter: Some(exporter),
                reminder: None,
                closed: false,
            }),
        })))
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Says whose records they are; until the first one.
    pub(super) fn set_resource(&self, resource: &Resource) {
        self.0.lock().resource.get_or_insert_with(|| resource.clone());
    }

    pub(super) fn push(&self, line: &Line<'_>) {
        // What the sending itself says would bring the next request about.
        if quiet::is_here() {
            return;
        }
        let record = Record::of(line);
        let bytes = record.bytes();
        let mut state = self.0.lock();
        if state.closed
            || state.waiting.len() >= state.batches.queue
            || state.bytes + bytes > MAX_BYTES
        {
            drop(state);
            return self.drop_line();
        }
        state.waiting.push_back(record);
        state.bytes += bytes;
        state.accepted += 1;
        let wakes = state.waiting.len() >= state.enough;
        self.wake(state, wakes);
    }

    /// The thread rings it, in time.
    pub(super) fn remind(&self, reminder: Reminder) {
        let mut state = self.0.lock();
        if !state.closed {
            state.reminder = Some(reminder);
            self.wake(state, true);
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>, wakes: bool) {
        if wakes {
            // Once is enough.
            state.enough = usize::MAX;
        }
        let exporter = state.exporter.take();
        drop(state);
        if let Some(exporter) = exporter {
            self.start(exporter);
        } else if wakes {
            self.0.work.notify_one();
        }
    }

    pub(super) fn drop_line(&self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }

    fn start(&self, exporter: Exporter<ExportLogsServiceRequest>) {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("redspan-log-otlp".to_owned());
        if thread.spawn(move || shared.run(exporter)).is_err() {
            let mut state = self.0.lock();
            state.closed = true;
            self.0.dropped.fetch_add(state.waiting.len() as u64, Relaxed);
            state.waiting.clear();
            state.finished = state.accepted;
            self.0.done.notify_all();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.0.description).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.description).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let target = state.accepted;
        state.wanted = state.wanted.max(target);
        self.work.notify_one();
        while state.finished < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits until there is a batch: full, old enough, or wanted. While records keep coming the delay is the
    /// thread's own and no caller wakes it for less than a batch; after a delay without any, it sleeps.
    fn next(&self) -> Option<Next> {
        let mut state = self.lock();
        loop {
            if let Some(due) = state.reminder.take_if(|it| it.left().is_zero()) {
                return Some(Next::Ring(due));
            }
            let batches = state.batches;
            let full = batches.batch.max(1);
            let goes_on = |state: &mut State| {
                state.waiting.len() < full && !state.closed && state.wanted <= state.finished
            };
            state.enough = full;
            let waited = self.work.wait_timeout_while(state, batches.delay, goes_on);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.waiting.is_empty() {
                if state.closed {
                    return None;
                }
                state.enough = 1;
                state = match state.reminder.as_ref().map(Reminder::left) {
                    None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(left) => {
                        let woken = self.work.wait_timeout(state, left);
                        woken.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                continue;
            }
            state.enough = usize::MAX;
            let count = state.waiting.len().min(full);
            let batch: Vec<Record> = state.waiting.drain(..count).collect();
            let bytes: usize = batch.iter().map(Record::bytes).sum();
            state.bytes = state.bytes.saturating_sub(bytes);
            return Some(Next::Send(batch, batches));
        }
    }

    fn run(&self, mut exporter: Exporter<ExportLogsServiceRequest>) {
        let _quiet = quiet::settle();
        let resource = encode::resource(mem::take(&mut self.lock().resource).as_ref());
        let mut failing = false;
        while let Some(next) = self.next() {
            let (batch, batches) = match next {
                Next::Send(batch, batches) => (batch, batches),
                Next::Ring(reminder) => {
                    if let Some(next) = quiet::aloud(|| reminder.ring()) {
                        self.lock().reminder = Some(next);
                    }
                    continue;
                }
            };
            let count = batch.len() as u64;
            let request = encode::request(&resource, batch);
            let lost = match exporter.send(&request, batches.timeout) {
                Sent::Taken => {
                    failing = false;
                    0
                }
                Sent::Partly { rejected, message } => {
                    self.complain(&mut failing, &format!("{rejected} were rejected: {message}"));
                    (rejected as u64).min(count)
                }
                Sent::Failed(failure) => {
                    self.complain(&mut failing, &failure.to_string());
                    count
                }
            };
            self.written.fetch_add(count - lost, Relaxed);
            self.dropped.fetch_add(lost, Relaxed);
            self.lock().finished += count;
            self.done.notify_all();
        }
        exporter.shutdown();
    }

    /// Says it where it can be said, once until it works again.
    fn complain(&self, failing: &mut bool, problem: &str) {
        if !mem::replace(failing, true) {
            let to = &self.description;
            tracing::warn!(target: "redspan", "log records are lost on their way ({to}): {problem}");
        }
    }
}
