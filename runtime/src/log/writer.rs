//! Lines to their destination, from a thread of its own, so that no caller waits for a pipe or a disk.
//!
//! Not `tracing_appender::non_blocking` (0.2.5), for what its source says: its bound is 128,000 *lines* of
//! any size; a line that the destination refuses is lost uncounted, and so is all that is queued when the
//! guard gives up after a second; it can be flushed only by ending it; when its queue is full at the end it
//! prints to stdout, in the middle of the JSON; and it panics if it cannot start its thread.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_core::LevelFilter;

use super::limit::Limiter;
use super::sink::number;

/// How many bytes wait at most; as many again are being written.
const MAX_PENDING: usize = 8 * 1024 * 1024;

/// When lines come faster than this, they are gathered for as long: waking the thread costs more than
/// writing a line.
const GATHER: Duration = Duration::from_millis(1);

/// So many bytes are not gathered for longer.
const ENOUGH: usize = 64 * 1024;

/// A batch's memory is given back if it is larger than this.
const KEPT: usize = 256 * 1024;

type Sink = Box<dyn Write + Send>;

/// Where lines go. The thread starts with the first line and ends when the writer is dropped.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Shared>);

/// What became of the lines of a [log layer](crate::log::layer), and a way to wait for them.
#[derive(Clone, Debug)]
pub struct LogHandle {
    sinks: Arc<[(Out, Arc<AtomicU8>)]>,
    limiter: Option<Arc<Limiter>>,
}

/// What became of the lines of one sink.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Lines(Lines),
    #[cfg(feature = "otlp")]
    Otlp(Arc<super::otlp::Shared>),
}

/// Those of a [`Writer`].
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

impl Out {
    fn written(&self) -> u64 {
        match self {
            Out::Lines(Lines(lines)) => lines.written.load(Relaxed),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.written(),
        }
    }

    fn dropped(&self) -> u64 {
        match self {
            Out::Lines(Lines(lines)) => lines.dropped.load(Relaxed),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.dropped(),
        }
    }

    fn flush(&self, deadline: Instant) -> bool {
        match self {
            Out::Lines(Lines(lines)) => lines.flush(deadline),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.flush(deadline),
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There are lines, or the writer is gone.
    work: Condvar,
    /// A batch is done.
    done: Condvar,
    limit: usize,
    written: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Lines, each with its newline.
    pending: Vec<u8>,
    /// Lines taken into `pending`, ever.
    accepted: u64,
    /// Of those, the ones written or dropped.
    finished: u64,
    /// The thread looks again by itself, within [`GATHER`].
    gathering: bool,
    /// Until the thread starts.
    sink: Option<Sink>,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(sink: impl Write + Send + 'static) -> Writer {
        Writer::with_limit(sink, MAX_PENDING)
    }

    fn with_limit(sink: impl Write + Send + 'static, limit: usize) -> Writer {
        Writer(Arc::new(Shared {
            state: Mutex::new(State { sink: Some(Box::new(sink)), ..State::default() }),
            work: Condvar::new(),
            done: Condvar::new(),
            limit,
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }))
    }

    pub(super) fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.0))
    }

    /// Takes one line, which ends with its only newline, or counts it as dropped.
    pub(crate) fn write(&self, line: &[u8]) {
        let mut state = self.0.lock();
        // Closed here means that no thread could be started.
        if state.closed || state.pending.len() + line.len() > self.0.limit {
            drop(state);
            self.drop_line();
            return;
        }
        let before = state.pending.len();
        state.pending.extend_from_slice(line);
        let wakes = match state.gathering {
            false => before == 0,
            true => before < ENOUGH && state.pending.len() >= ENOUGH,
        };
        state.accepted += 1;
        let sink = state.sink.take();
        drop(state);
        if let Some(sink) = sink {
            self.start(sink);
        } else if wakes {
            self.0.work.notify_one();
        }
    }

    /// Counts a line that was not made.
    pub(crate) fn drop_line(&self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }

    fn start(&self, sink: Sink) {
        let shared = Arc::clone(&self.0);
        let started =
            thread::Builder::new().name("redspan-log".to_owned()).spawn(move || shared.run(sink));
        if started.is_err() {
            let mut state = self.0.lock();
            state.closed = true;
            let pending = std::mem::take(&mut state.pending);
            self.0.dropped.fetch_add(lines(&pending), Relaxed);
            state.finished = state.accepted;
            self.0.done.notify_all();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

impl LogHandle {
    pub(super) fn one(out: Out, level: Arc<AtomicU8>) -> LogHandle {
        LogHandle { sinks: [(out, level)].into(), limiter: None }
    }

    /// One for several.
    pub(super) fn of(
        handles: impl Iterator<Item = LogHandle>,
        limiter: Option<Arc<Limiter>>,
    ) -> LogHandle {
        let sinks = handles.flat_map(|handle| handle.sinks.to_vec()).collect();
        LogHandle { sinks, limiter }
    }

    fn outs(&self) -> impl Iterator<Item = &Out> {
        self.sinks.iter().map(|(out, _)| out)
    }

    /// From the next line on, the sinks that this is the handle of take lines of this level and above. A
    /// handle of one sink is [`Sink::handle`](super::Sink::handle). What the filter in front of the layer
    /// refuses, no sink gets: that one is changed by
    /// [`Telemetry::set_log_filter`](crate::Telemetry::set_log_filter).
    ///
    /// ```
    /// use redspan::log;
    /// use tracing::Level;
    ///
    /// let errors = log::stderr().level(Level::ERROR);
    /// let about_errors = errors.handle();
    /// let layer = log::layer().also(errors);
    /// // Later, when somebody looks for something:
    /// about_errors.set_level(Level::DEBUG);
    /// # let _ = layer;
    /// ```
    pub fn set_level(&self, level: impl Into<LevelFilter>) {
        let level = number(level.into());
        self.sinks.iter().for_each(|(_, held)| held.store(level, Relaxed));
    }

    /// How many lines were dropped: too many waiting, the destination failed, or an event whose `Debug`
    /// logs itself without end. A line that two sinks drop counts twice.
    pub fn dropped(&self) -> u64 {
        self.outs().map(Out::dropped).sum()
    }

    /// How many lines the destinations have taken.
    pub fn written(&self) -> u64 {
        self.outs().map(Out::written).sum()
    }

    /// How many lines a [limit](super::limit) has suppressed. They are neither written nor dropped.
    pub fn suppressed(&self) -> u64 {
        self.limiter.as_ref().map_or(0, |limiter| limiter.suppressed())
    }

    /// Says what a limit has suppressed and no line has told.
    pub(crate) fn say_suppressed(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.say();
        }
    }

    /// Waits until the lines logged so far are written or dropped; `false` if `timeout` passes first.
    ///
    /// Nothing is stopped: lines after it are written as before. Call it at the end of `main`.
    pub fn flush(&self, timeout: Duration) -> bool {
        // A timeout beyond the clock's range waits a century instead.
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(3_000_000_000));
        // All of them, also those behind one that hangs.
        self.outs().filter(|sink| !sink.flush(deadline)).count() == 0
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let target = state.accepted;
        // It may be gathering.
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

    fn run(&self, sink: Sink) {
        let mut out = Output { sink: Some(sink), torn: false };
        let mut batch = Vec::new();
        // When the last batch was taken, and whether it came soon after the one before.
        let (mut taken, mut busy) = (None::<Instant>, false);
        loop {
            let mut state = self.lock();
            if busy && !state.closed {
                state.gathering = true;
                let woken = self.work.wait_timeout(state, GATHER);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
                state.gathering = false;
            }
            while state.pending.is_empty() {
                if state.closed {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            batch.clear();
            batch.shrink_to(KEPT);
            std::mem::swap(&mut state.pending, &mut batch);
            drop(state);
            busy = taken.is_some_and(|taken| taken.elapsed() < 2 * GATHER);
            taken = Some(Instant::now());

            let all = lines(&batch);
            let written = out.write(&batch);
            self.written.fetch_add(written, Relaxed);
            self.dropped.fetch_add(all - written, Relaxed);

            self.lock().finished += all;
            self.done.notify_all();
        }
    }
}

/// The destination, used by one thread.
struct Output {
    /// `None` after it panicked: it is not to be trusted again.
    sink: Option<Sink>,
    /// Whether the last line was written in part.
    torn: bool,
}

impl Output {
    /// Writes the lines and answers how many were written whole.
    fn write(&mut self, batch: &[u8]) -> u64 {
        let mut done = 0;
        let Some(sink) = &mut self.sink else { return 0 };
        let torn = self.torn;
        let result = catch_unwind(AssertUnwindSafe(|| {
            if torn {
                // What follows must not join the half line.
                push(sink, b"\n", &mut 0)?;
            }
            push(sink, batch, &mut done)?;
            sink.flush()
        }));
        let whole = batch.get(..done).unwrap_or(batch);
        match result {
            Ok(Ok(())) => self.torn = false,
            Ok(Err(_)) => self.torn = whole.last().map_or(torn, |last| *last != b'\n'),
            // Dropping it may panic as well, so it is forgotten.
            Err(_) => std::mem::forget(self.sink.take()),
        }
        lines(whole)
    }
}

/// `write_all` that says how far it came, and waits a little for a destination that is set not to block.
fn push(sink: &mut Sink, bytes: &[u8], done: &mut usize) -> io::Result<()> {
    let mut refused = 0;
    while let Some(rest) = bytes.get(*done..)
        && !rest.is_empty()
    {
        match sink.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                *done += n;
                refused = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && refused < 1_000 => {
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many lines end in these bytes: every line has exactly one newline, its last byte.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    impl Writer {
        fn handle(&self) -> LogHandle {
            LogHandle::one(Out::Lines(self.lines()), Arc::default())
        }
    }

    /// Takes lines only when it is allowed to.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_destination_drops_and_counts_exactly() {
        let (open, gate) = mpsc::channel();
        let seen = Arc::default();
        let writer = Writer::with_limit(Gate(gate, Arc::clone(&seen)), 1_000);
        let handle = writer.handle();
        for _ in 0..10_000 {
            writer.write(b"123456789\n");
        }
        assert!(handle.dropped() >= 9_800, "at most two buffers of a hundred lines fit");
        assert!(!handle.flush(Duration::from_millis(1)));
        drop(open);
        assert!(handle.flush(LONG));
        assert_eq!(lines(&seen.lock().unwrap()), handle.written());
        assert_eq!(handle.written() + handle.dropped(), 10_000);
    }

    #[test]
    fn a_dropped_writer_still_writes_what_it_took() {
        let (open, gate) = mpsc::channel();
        let seen = Arc::default();
        let writer = Writer::new(Gate(gate, Arc::clone(&seen)));
        let handle = writer.handle();
        writer.write(b"last words\n");
        drop(writer);
        drop(open);
        assert!(handle.flush(LONG));
        assert_eq!(*seen.lock().unwrap(), b"last words\n");
    }

    /// Takes seven bytes, then fails once, and so on.
    struct Flaky(usize, Arc<Mutex<Vec<u8>>>);

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0.is_multiple_of(2) {
                return Err(io::Error::other("full"));
            }
            self.1.lock().unwrap().write(&bytes[..bytes.len().min(7)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failing_destination_is_counted_and_no_line_joins_a_torn_one() {
        let seen = Arc::default();
        let writer = Writer::new(Flaky(0, Arc::clone(&seen)));
        let handle = writer.handle();
        for line in [&b"abcdefghij\n"[..], b"xy\n", b"zz\n"] {
            writer.write(line);
            assert!(handle.flush(LONG));
        }
        let seen = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        assert!(seen.starts_with("abcdefg\n"), "{seen:?}");
        assert_eq!(handle.written() + handle.dropped(), 3);
        let whole = seen.lines().filter(|line| ["xy", "zz"].contains(line)).count();
        assert_eq!(handle.written(), whole as u64);
    }

    struct Panics;

    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a writer of the user's")
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panicking_destination_loses_lines_but_nothing_waits_for_it() {
        let writer = Writer::new(Panics);
        let handle = writer.handle();
        for n in 1..=3 {
            writer.write(b"line\n");
            assert!(handle.flush(LONG));
            assert_eq!(handle.dropped(), n);
        }
    }

    #[test]
    fn flushing_before_the_first_line_returns_at_once() {
        assert!(Writer::new(io::sink()).handle().flush(Duration::ZERO));
    }
}
