//! Spans to stdout, a tree for each trace: what one looks at before there is a Collector.
//!
//! Children end before their parents, and a batch may part them. So spans are held until the root
//! of their trace has come. A root whose parent is remote is no proof that all is there: the remote
//! side may be this very process, as in an example with client and server; it waits a second for it.

mod tree;

use super::export::{ExportError, SpanSink};
use crate::log;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a trace that may be whole waits for more.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many traces are held, and how many spans in all; the oldest trace makes room.
const MAX_TRACES: usize = 1_000;
const MAX_SPANS: usize = 10_000;
/// How many printed traces are remembered, so that their late spans do not wait for a root.
const MAX_PRINTED: usize = 256;

/// Prints every trace as a tree, on stdout or elsewhere.
///
/// ```text
/// trace 4bf92f3577b34da6a3ce929d0e0e4736  GET /rolldice  server  12.4ms
/// ├─ roll  11.9ms
/// │  └─ GET  client  10.2ms
/// └─ answer  40µs  error: no luck
/// ```
pub struct ConsoleSink {
    shared: Arc<Shared>,
    ticking: bool,
}

impl ConsoleSink {
    /// Prints to stdout, with colour if that is a terminal, no `dumb` one, and `NO_COLOR` is unset.
    pub fn stdout() -> Self {
        let colour = io::stdout().is_terminal() && log::colour_wanted();
        ConsoleSink::new(Box::new(io::stdout()), colour)
    }

    /// Prints to `writer`, without colour.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        ConsoleSink::new(Box::new(writer), false)
    }

    fn new(writer: Box<dyn Write + Send>, colour: bool) -> Self {
        let shared =
            Shared { board: Mutex::new(Board::new(writer, colour)), changed: Condvar::new() };
        ConsoleSink { shared: Arc::new(shared), ticking: false }
    }

    /// Starts the thread that prints what has waited long enough: nobody else would, when no more
    /// spans come.
    fn tick(&mut self) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("redspan-console".into());
        // Without it, held traces are printed with the next batch.
        self.ticking = thread.spawn(move || shared.print_when_due()).is_ok();
    }
}

impl SpanSink for ConsoleSink {
    fn describe(&self) -> String {
        "console (stdout)".to_owned()
    }

    fn export(&mut self, batch: Vec<SpanData>, _timeout: Duration) -> Result<(), ExportError> {
        let mut board = self.shared.lock();
        let now = Instant::now();
        board.take(batch, now);
        board.print_due(now);
        let (waiting, failed) = (board.next_due().is_some(), board.failed.take());
        drop(board);
        if waiting && !self.ticking {
            self.tick();
        }
        self.shared.changed.notify_one();
        match failed {
            None => Ok(()),
            // They may be of an earlier batch: what counts is that they are counted.
            Some((error, spans)) => Err(ExportError::new("other", error).losing(spans)),
        }
    }

    /// Without waiting for what is missing of a trace: whoever asks wants to see what there is.
    fn flush(&mut self, _timeout: Duration) {
        self.shared.lock().print_all();
    }

    fn shutdown(&mut self, _timeout: Duration) {
        let mut board = self.shared.lock();
        board.print_all();
        board.ended = true;
        drop(board);
        self.shared.changed.notify_one();
    }
}

impl Drop for ConsoleSink {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

impl fmt::Debug for ConsoleSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleSink").finish_non_exhaustive()
    }
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print_when_due(&self) {
        let mut board = self.lock();
        while !board.ended {
            let now = Instant::now();
            board.print_due(now);
            board = match board.next_due() {
                None => self.changed.wait(board).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let wait = self.changed.wait_timeout(board, due.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// The spans of a trace that is not printed yet.
#[derive(Default)]
struct Held {
    spans: Vec<SpanData>,
    /// Its place in the order of arrival.
    arrival: u64,
    /// When it is printed even without a root.
    due: Option<Instant>,
}

impl Held {
    fn holds(&self, id: SpanId) -> bool {
        self.spans.iter().any(|span| span.span_context.span_id() == id)
    }
}

/// What waits to be printed, and the writer.
struct Board {
    traces: HashMap<TraceId, Held>,
    arrivals: u64,
    spans: usize,
    printed: VecDeque<TraceId>,
    writer: Box<dyn Write + Send>,
    colour: bool,
    /// What the writer said last, and how many spans that cost since somebody asked.
    failed: Option<(String, usize)>,
    ended: bool,
}

impl Board {
    fn new(writer: Box<dyn Write + Send>, colour: bool) -> Self {
        Board {
            traces: HashMap::new(),
            arrivals: 0,
            spans: 0,
            printed: VecDeque::new(),
            writer,
            colour,
            failed: None,
            ended: false,
        }
    }

    /// Takes `batch` in, and prints the traces which it makes whole.
    fn take(&mut self, batch: Vec<SpanData>, now: Instant) {
        let mut touched = Vec::new();
        for span in batch {
            let id = span.span_context.trace_id();
            let arrivals = &mut self.arrivals;
            let held = self.traces.entry(id).or_insert_with(|| {
                *arrivals += 1;
                Held { arrival: *arrivals, ..Held::default() }
            });
            held.spans.push(span);
            self.spans += 1;
            if touched.last() != Some(&id) {
                touched.push(id);
            }
            // Within the batch too: a batch may be larger than what may be held.
            self.make_room();
        }
        for id in touched {
            self.settle(id, now);
        }
    }

    fn settle(&mut self, id: TraceId, now: Instant) {
        let late = self.printed.contains(&id);
        // Gone, if it was named twice or had to make room.
        let Some(held) = self.traces.get_mut(&id) else { return };
        if held.spans.iter().any(|span| span.parent_span_id == SpanId::INVALID) {
            return self.print(id);
        }
        let mut remote = held.spans.iter().filter(|span| span.parent_span_is_remote);
        let maybe_whole = late || remote.any(|span| !held.holds(span.parent_span_id));
        // A parent that comes meanwhile is a sign that there is more to come: back to waiting.
        held.due = maybe_whole.then(|| held.due.unwrap_or(now + PATIENCE));
    }

    fn make_room(&mut self) {
        while self.traces.len() > MAX_TRACES || self.spans > MAX_SPANS {
            let oldest = self.traces.iter().min_by_key(|(_, held)| held.arrival);
            match oldest.map(|(id, _)| *id) {
                Some(id) => self.print(id),
                None => return,
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.traces.values().filter_map(|held| held.due).min()
    }

    fn print_due(&mut self, now: Instant) {
        self.print_those(|held| held.due.is_some_and(|due| due <= now));
    }

    fn print_all(&mut self) {
        self.print_those(|_| true);
    }

    fn print_those(&mut self, which: impl Fn(&Held) -> bool) {
        let chosen = self.traces.iter().filter(|(_, held)| which(held));
        let mut chosen: Vec<_> = chosen.map(|(id, held)| (held.arrival, *id)).collect();
        chosen.sort_unstable_by_key(|(arrival, _)| *arrival);
        for (_, id) in chosen {
            self.print(id);
        }
    }

    fn print(&mut self, id: TraceId) {
        let Some(held) = self.traces.remove(&id) else { return };
        self.spans -= held.spans.len();
        let late = self.printed.contains(&id);
        if !late {
            self.printed.push_back(id);
            if self.printed.len() > MAX_PRINTED {
                self.printed.pop_front();
            }
        }
        let text = tree::render(id, &held.spans, late, self.colour);
        // At once, so that other output does not come between the lines.
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
        if let Err(error) = written {
            let before = self.failed.take().map_or(0, |(_, spans)| spans);
            self.failed = Some((error.to_string(), before + held.spans.len()));
        }
    }
}

#[cfg(test)]
mod tests;
