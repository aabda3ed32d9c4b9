//! Lines to their destination, from a thread of its own, so that no caller waits for a pipe or a disk.
//!
//! Not `tracing_appender::non_blocking` (0.2.5), for what its source says: its bound is 128,000 *lines* of
//! any size; a line that the destination refuses is lost uncounted, and so is all that is queued when the
//! guard gives up after a second; it can be flushed only by ending it; when its queue is full at the end it
//! prints to stdout, in the middle of the JSON; and it panics if it cannot start its thread.

use crate::home;
use std::cell::Cell;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::bell::{Bell, Load, State};
use super::reminder::Reminder;
use crate::ahead;

/// How many bytes wait at most; as many again are being written.
const MAX_PENDING: usize = 8 * 1024 * 1024;

/// While lines keep coming, the thread looks for them by itself this often: waking it costs a caller more
/// than the line. So this is the longest that a line waits before it is written. Looking costs some 20 µs of a
/// processor, which is why it is not done more often. A sink that fails is no exception: it must not cost its
/// callers more than a healthy one.
const GATHER: Duration = Duration::from_millis(5);

/// So many bytes are not gathered for longer.
const ENOUGH: usize = 64 * 1024;

/// How often the thread looks again for each time that it found lines, and at most. After that it sleeps,
/// and the next line wakes it at once.
const LOOKS: u32 = 2;
const MOST_LOOKS: u32 = 8;

/// A destination that has been at one batch for longer may never take it: nobody reads that pipe.
const MAY_HANG: Duration = Duration::from_secs(15);

/// A batch's memory is given back if it is larger than this.
const KEPT: usize = 256 * 1024;

/// How long a line mostly is.
const USUAL: usize = 320;

type Sink = Box<dyn Write + Send>;

thread_local! {
    /// A destination of the user's is being called here. What it logs itself would be the next thing that it is
    /// called for, and so on without end.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Where lines go. The thread starts with the first line and ends when the writer is dropped.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Shared>);

/// What became of the lines of a [`Writer`].
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

impl Lines {
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    pub(super) fn problem(&self) -> Option<String> {
        let told = home::lock(&self.0.problem).and_then(|problem| problem.clone());
        told.or_else(|| self.0.backlog(Instant::now()))
    }

    pub(super) fn flush(&self, deadline: Instant) -> bool {
        self.0.bell.flush(deadline)
    }
}

#[derive(Debug)]
struct Shared {
    bell: Bell<Batch, Sink>,
    /// Where the next line will go: an address, and no more than that.
    next: AtomicUsize,
    limit: usize,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Why the last lines were lost, if they were.
    problem: Mutex<Option<String>>,
    /// Since when the destination has been at a batch.
    busy: Mutex<Option<Instant>>,
    /// Lines have found no room since it was given that one.
    full: AtomicBool,
}

/// Lines, each with its newline.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// How many; nobody needs to look for their ends, unless they are torn.
    lines: u64,
}

impl Load for Batch {
    fn amount(&self) -> usize {
        self.bytes.len()
    }
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.lines = 0;
    }
}

impl Writer {
    pub(crate) fn new(sink: impl Write + Send + 'static) -> Writer {
        Writer::with_limit(sink, MAX_PENDING)
    }

    fn with_limit(sink: impl Write + Send + 'static, limit: usize) -> Writer {
        Writer(Arc::new(Shared {
            bell: Bell::new(Batch::default(), Box::new(sink)),
            next: AtomicUsize::new(0),
            limit,
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            problem: Mutex::default(),
            busy: Mutex::default(),
            full: AtomicBool::new(false),
        }))
    }

    pub(super) fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.0))
    }

    /// A line is about to be made. Where it goes others have written last: fetched first when it is there, the lock is
    /// held until all of that has come.
    #[inline]
    pub(crate) fn expect(&self) {
        ahead::fetch(&self.0.bell);
        ahead::fetch_bytes(self.0.next.load(Relaxed), USUAL);
    }

    /// Takes one line, which ends with its only newline, or counts it as dropped.
    pub(crate) fn write(&self, line: &[u8]) {
        if WRITING.get() {
            return self.drop_line();
        }
        let add = |pending: &mut Batch| {
            let fits = pending.bytes.len() + line.len() <= self.0.limit;
            if fits {
                pending.bytes.extend_from_slice(line);
                pending.lines += 1;
                self.0.next.store(pending.bytes.as_ptr_range().end.addr(), Relaxed);
            } else {
                self.0.full.store(true, Relaxed);
            }
            fits
        };
        if !self.0.bell.bring(add, |sink| self.start(sink)) {
            self.drop_line();
        }
    }

    /// The thread rings it, in time.
    pub(super) fn remind(&self, reminder: Reminder) {
        self.0.bell.remind(reminder, |sink| self.start(sink));
    }

    /// Counts a line that was not made.
    pub(crate) fn drop_line(&self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }

    #[cold]
    fn start(&self, sink: Sink) {
        let shared = Arc::clone(&self.0);
        let started =
            thread::Builder::new().name("redspan-log".to_owned()).spawn(move || shared.run(sink));
        if started.is_err() {
            self.0.bell.give_up(|pending| {
                self.0.dropped.fetch_add(std::mem::take(pending).lines, Relaxed);
            });
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.bell.close();
    }
}

type Held<'a> = MutexGuard<'a, State<Batch, Sink>>;

impl Shared {
    /// Waits for lines as long as it may take, by looking and then asleep, or until a reminder is due; there
    /// are none left when it returns without any of that.
    fn wait<'a>(&self, mut state: Held<'a>, looks: &mut u32) -> (Held<'a>, Option<Reminder>) {
        while *looks > 0 {
            state = self.bell.gather(state, ENOUGH, GATHER);
            if state.is_closed() || !state.waiting.bytes.is_empty() {
                break;
            }
            *looks -= 1;
        }
        let mut due = state.due();
        while state.waiting.bytes.is_empty() && !state.is_closed() && due.is_none() {
            state = self.bell.sleep(state);
            due = state.due();
        }
        state.awake();
        *looks = (*looks + LOOKS).min(MOST_LOOKS);
        (state, due)
    }

    fn set_busy(&self, since: Option<Instant>) {
        if let Some(mut busy) = home::lock(&self.busy) {
            *busy = since;
        }
    }

    /// Why lines wait or find no room, though the destination has refused none.
    fn backlog(&self, now: Instant) -> Option<String> {
        let since = home::lock(&self.busy).and_then(|busy| *busy);
        let busy = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if busy > MAY_HANG {
            return Some(format!("the destination has taken nothing for {} s", busy.as_secs()));
        }
        let full = self.full.load(Relaxed);
        full.then(|| "lines come faster than the destination takes them".to_owned())
    }

    fn run(&self, sink: Sink) {
        let mut out = Output { sink: Some(sink), torn: false, problem: None };
        let mut batch = Batch::default();
        let (mut looks, mut finished) = (0, 0);
        loop {
            batch.clear();
            let (mut state, due) = self.wait(self.bell.finish(finished), &mut looks);
            if let Some(reminder) = due {
                drop(state);
                finished = 0;
                self.bell.remind_again(reminder.ring());
                continue;
            }
            if state.waiting.bytes.is_empty() {
                return;
            }
            std::mem::swap(&mut state.waiting, &mut batch);
            self.full.store(false, Relaxed);
            drop(state);

            finished = batch.lines;
            WRITING.set(true);
            let had = out.problem.take();
            self.set_busy(Some(Instant::now()));
            let written = out.write(&batch);
            self.set_busy(None);
            WRITING.set(false);
            if out.problem != had {
                let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
                problem.clone_from(&out.problem);
            }
            self.written.fetch_add(written, Relaxed);
            self.dropped.fetch_add(finished - written, Relaxed);
        }
    }
}

/// The destination, used by one thread.
struct Output {
    /// `None` after it panicked: it is not to be trusted again.
    sink: Option<Sink>,
    /// Whether the last line was written in part.
    torn: bool,
    /// What was wrong the last time.
    problem: Option<String>,
}

impl Output {
    /// Writes the lines and answers how many were written whole.
    fn write(&mut self, batch: &Batch) -> u64 {
        let mut done = 0;
        let Some(sink) = &mut self.sink else {
            self.problem = Some(PANICKED.to_owned());
            return 0;
        };
        let torn = self.torn;
        let result = catch_unwind(AssertUnwindSafe(|| {
            if torn {
                // What follows must not join the half line.
                push(sink, b"\n", &mut 0)?;
            }
            push(sink, &batch.bytes, &mut done)?;
            sink.flush()
        }));
        let whole = batch.bytes.get(..done).unwrap_or(&batch.bytes);
        match result {
            Ok(Ok(())) => self.torn = false,
            Ok(Err(error)) => {
                self.torn = whole.last().map_or(torn, |last| *last != b'\n');
                self.problem = Some(error.to_string());
            }
            Err(_) => {
                // Dropping it may panic as well, so it is forgotten.
                std::mem::forget(self.sink.take());
                self.problem = Some(PANICKED.to_owned());
            }
        }
        if whole.len() == batch.bytes.len() { batch.lines } else { lines(whole) }
    }
}

const PANICKED: &str = "the destination panicked";

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
    use crate::log::handle::{LogHandle, Out};
    use std::sync::{Mutex, mpsc};

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
    fn a_destination_that_takes_nothing_is_a_problem_before_and_after_lines_are_lost() {
        let (open, gate) = mpsc::channel();
        let writer = Writer::with_limit(Gate(gate, Arc::default()), 1_000);
        let (handle, shared) = (writer.handle(), Arc::clone(&writer.0));
        writer.write(b"123456789\n");
        while shared.busy.lock().unwrap().is_none() {
            thread::yield_now();
        }
        assert_eq!(handle.problem(), None);
        let later = Instant::now() + 2 * MAY_HANG;
        let told = shared.backlog(later).unwrap_or_default();
        assert!(told.contains("has taken nothing for"), "{told}");
        for _ in 0..10_000 {
            writer.write(b"123456789\n");
        }
        let told = handle.problem().unwrap_or_default();
        assert!(told.contains("faster than the destination takes them"), "{told}");
        drop(open);
        assert!(handle.flush(LONG));
        assert_eq!((handle.problem(), shared.backlog(later)), (None, None));
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
            assert_eq!(handle.problem().as_deref(), Some(PANICKED));
        }
    }

    #[test]
    fn what_is_wrong_with_a_destination_is_known_until_it_takes_lines_again() {
        let writer = Writer::new(Flaky(0, Arc::default()));
        let handle = writer.handle();
        assert_eq!(handle.problem(), None);
        writer.write(b"abcdefghij\n");
        assert!(handle.flush(LONG));
        assert_eq!(handle.problem().as_deref(), Some("full"));
        // The newline that ends the torn one is taken, and the line is not.
        writer.write(b"xy\n");
        assert!(handle.flush(LONG));
        assert_eq!(handle.problem().as_deref(), Some("full"));
        let well = Writer::new(io::sink());
        well.write(b"xy\n");
        assert!(well.handle().flush(LONG));
        assert_eq!(well.handle().problem(), None);
    }

    #[test]
    fn flushing_before_the_first_line_returns_at_once() {
        assert!(Writer::new(io::sink()).handle().flush(Duration::ZERO));
    }
}
