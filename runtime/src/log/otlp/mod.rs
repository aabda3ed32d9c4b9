//! Log records to an OTLP receiver, from a thread of their own.

mod encode;

use crate::home;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_sdk::Resource;
use tracing_core::Level;

use super::bell::{Bell, Load};
use super::fields::Fields;
use super::line::Line;
use super::reminder::Reminder;
use super::span_ids::Ids;
use crate::config::ConfigError;
use crate::config::otlp::OtlpSettings;
use crate::otlp::{Exporter, MAX_REQUEST, fitting};
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

/// Takes the first records out, as many as one request may have, and one at least.
fn first(batch: &mut Vec<Record>) -> Vec<Record> {
    let rest = batch.split_off(fitting(batch.iter().map(Record::bytes), MAX_REQUEST));
    mem::replace(batch, rest)
}

/// Where records go. The thread starts with the first one and ends when this is dropped.
pub(super) struct Queue(Arc<Shared>);

/// What a queue and its thread share.
pub(super) struct Shared {
    bell: Bell<Waiting, Exporter<ExportLogsServiceRequest>>,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Why the last records were lost, if they were.
    problem: Mutex<Option<String>>,
    description: String,
}

struct Waiting {
    records: VecDeque<Record>,
    bytes: usize,
    batches: Batches,
    resource: Option<Resource>,
}

impl Load for Waiting {
    fn amount(&self) -> usize {
        self.records.len()
    }
}

/// What the thread is to do.
enum Next {
    Send(Vec<Record>, Batches),
    Ring(Reminder),
}

impl Queue {
    pub(super) fn new(settings: OtlpSettings, batches: Batches) -> Result<Queue, ConfigError> {
        let exporter = Exporter::new(settings)?;
        let description = exporter.describe().to_owned();
        let waiting = Waiting { records: VecDeque::new(), bytes: 0, batches, resource: None };
        Ok(Queue(Arc::new(Shared {
            bell: Bell::new(waiting, exporter),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            problem: Mutex::default(),
            description,
        })))
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Where they go, for people; without credentials.
    pub(super) fn describe(&self) -> &str {
        &self.0.description
    }

    /// Says whose records they are; until the first one.
    pub(super) fn set_resource(&self, resource: &Resource) {
        self.0.bell.lock().waiting.resource.get_or_insert_with(|| resource.clone());
    }

    pub(super) fn push(&self, line: &Line<'_>) {
        // What the sending itself says would bring the next request about.
        if quiet::is_here() {
            return;
        }
        let record = Record::of(line);
        let bytes = record.bytes();
        // One that finds no room is dropped when nobody waits for it.
        let mut record = Some(record);
        let add = |waiting: &mut Waiting| {
            let fits =
                waiting.records.len() < waiting.batches.queue && waiting.bytes + bytes <= MAX_BYTES;
            if fits {
                waiting.records.extend(record.take());
                waiting.bytes += bytes;
            }
            fits
        };
        if !self.0.bell.bring(add, |exporter| self.start(exporter)) {
            self.drop_line();
        }
    }

    /// The thread rings it, in time.
    pub(super) fn remind(&self, reminder: Reminder) {
        self.0.bell.remind(reminder, |exporter| self.start(exporter));
    }

    pub(super) fn drop_line(&self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }

    fn start(&self, exporter: Exporter<ExportLogsServiceRequest>) {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("redspan-log-otlp".to_owned());
        if thread.spawn(move || shared.run(exporter)).is_err() {
            self.0.bell.give_up(|waiting| {
                self.0.dropped.fetch_add(waiting.records.len() as u64, Relaxed);
                waiting.records.clear();
            });
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.bell.close();
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
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn problem(&self) -> Option<String> {
        home::lock(&self.problem)?.clone()
    }

    pub(super) fn flush(&self, deadline: Instant) -> bool {
        self.bell.flush(deadline)
    }

    /// Says how many records are lost if the process ends now, if there are any.
    pub(super) fn say_unsent(&self) {
        let records = self.bell.lock().unfinished();
        if records > 0 {
            let to = &self.description;
            tracing::warn!(
                target: "redspan",
                records,
                "the process ends before these log records were taken ({to})"
            );
        }
    }

    /// Waits until there is a batch: full, old enough, or wanted. While records keep coming the delay is the
    /// thread's own and no caller wakes it for less than a batch; after a delay without any, it sleeps.
    fn next(&self, finished: u64) -> Option<Next> {
        let mut state = self.bell.finish(finished);
        loop {
            if let Some(due) = state.due() {
                return Some(Next::Ring(due));
            }
            let batches = state.waiting.batches;
            let full = batches.batch.max(1);
            state = self.bell.gather(state, full, batches.delay);
            if state.waiting.records.is_empty() {
                if state.is_closed() {
                    return None;
                }
                state = self.bell.sleep(state);
                continue;
            }
            state.awake();
            let waiting = &mut state.waiting;
            let count = waiting.records.len().min(full);
            let batch: Vec<Record> = waiting.records.drain(..count).collect();
            let bytes: usize = batch.iter().map(Record::bytes).sum();
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
            return Some(Next::Send(batch, batches));
        }
    }

    fn run(&self, mut exporter: Exporter<ExportLogsServiceRequest>) {
        let _quiet = quiet::settle();
        let resource = self.bell.lock().waiting.resource.take();
        let resource = encode::resource(resource.as_ref());
        let (mut failing, mut finished) = (false, 0);
        while let Some(next) = self.next(mem::take(&mut finished)) {
            let (mut batch, batches) = match next {
                Next::Send(batch, batches) => (batch, batches),
                Next::Ring(reminder) => {
                    self.bell.remind_again(quiet::aloud(|| reminder.ring()));
                    continue;
                }
            };
            let (count, mut lost, mut problem) = (batch.len() as u64, 0, None);
            let deadline = exporter.begin(batches.timeout);
            while !batch.is_empty() {
                let some = first(&mut batch);
                let sending = some.len();
                let sent = exporter.send(encode::request(&resource, some), deadline);
                if let Some(missing) = sent.missing(sending) {
                    let why = missing.failure.to_string();
                    self.complain(&mut failing, &why);
                    lost += missing.items as u64;
                    problem = Some(format!("{}: {why}", self.description));
                }
            }
            failing &= problem.is_some();
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
            self.written.fetch_add(count - lost, Relaxed);
            self.dropped.fetch_add(lost, Relaxed);
            finished = count;
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
