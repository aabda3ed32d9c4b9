//! Several exporters at once: one that hangs holds up no other.

use super::batch::Batch;
use super::export::{ExportError, SpanSink};
use super::pipeline::{Pace, Voice, bytes_for, timeout_of};
use super::size;
use super::stats::{ExporterStats, reason};
use crate::clock;
use crate::config::settings::Batching;
use crate::quiet;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The first, which is sent to on the export thread and says what becomes of a span; and the others, each
/// with a thread and numbers of its own. They are given what the collector collects, and not what the first
/// is given: that may hang.
pub(crate) struct FanOut {
    first: Box<dyn SpanSink>,
    others: Arc<Others>,
}

/// All but the first.
pub(super) struct Others {
    each: Vec<Other>,
    /// Spans that may wait for each of them; more are dropped and counted.
    capacity: usize,
    /// When a shutdown that has begun gives up.
    ending: Arc<OnceLock<Instant>>,
}

struct Other {
    description: String,
    orders: Sender<Order>,
    waiting: Arc<Load>,
    stats: Arc<ExporterStats>,
    voice: Arc<Voice>,
}

/// What waits for one of them.
#[derive(Default)]
struct Load {
    spans: AtomicUsize,
    /// What they take of the memory, and those that are being sent.
    bytes: AtomicUsize,
}

enum Order {
    Spans(Vec<SpanData>),
    /// What was held back is sent now.
    Send,
    /// To be answered when all before it are done, and what was held back.
    Flush(Duration, Sender<()>),
    Shutdown(Duration, Sender<()>),
}

impl FanOut {
    /// Starts a thread for each sink but the first. `stats` has the numbers of each, in this order.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(
        first: Box<dyn SpanSink>,
        others: Vec<(Box<dyn SpanSink>, Arc<ExporterStats>)>,
        batching: Batching,
        pace: Pace,
    ) -> io::Result<Self> {
        let ending = Arc::<OnceLock<_>>::default();
        let others = others.into_iter().map(|(sink, stats)| {
            let (orders, taken) = channel();
            let description = sink.describe();
            let waiting = Arc::<Load>::default();
            let voice = Arc::new(Voice::of_another(description.clone(), pace));
            let worker = Worker {
                sink,
                waiting: Arc::clone(&waiting),
                stats: Arc::clone(&stats),
                voice: Arc::clone(&voice),
                ending: Arc::clone(&ending),
                well: true,
                batching,
            };
            thread::Builder::new()
                .name("redspan-export".into())
                .spawn(move || worker.work(&taken))?;
            Ok(Other { description, orders, waiting, stats, voice })
        });
        let each = others.collect::<io::Result<_>>()?;
        let others = Others { each, capacity: batching.queue, ending };
        Ok(FanOut { first, others: Arc::new(others) })
    }

    pub(super) fn others(&self) -> Arc<Others> {
        Arc::clone(&self.others)
    }
}

impl Others {
    /// Gives them spans that were collected, as many as find room with each.
    pub(super) fn give(&self, spans: &Batch) {
        for other in &self.each {
            let room = self.capacity.saturating_sub(other.waiting.spans.load(Relaxed));
            let most = bytes_for(self.capacity);
            let mut bytes = other.waiting.bytes.load(Relaxed);
            let some = spans.data().take(room).map_while(|span| {
                // One that is longer than all that may wait may wait alone.
                let fits = bytes == 0 || bytes + size::of_span(span) <= most;
                bytes += size::of_span(span);
                fits.then(|| span.clone())
            });
            let some: Vec<_> = some.collect();
            if some.len() < spans.len() {
                other.stats.dropped(reason::QUEUE_FULL, (spans.len() - some.len()) as u64);
            }
            if !some.is_empty() {
                other.waiting.spans.fetch_add(some.len(), Relaxed);
                other.waiting.bytes.fetch_add(some.iter().map(size::of_span).sum(), Relaxed);
                // Its thread is there until the shutdown.
                let _ = other.orders.send(Order::Spans(some));
            }
        }
    }

    /// Lets them send what they hold back, without waiting for it: the first may hang, and then no order
    /// comes by way of it.
    pub(super) fn send(&self) {
        for other in &self.each {
            let _ = other.orders.send(Order::Send);
        }
    }

    /// Says which of them has been at one batch for long.
    pub(super) fn watch(&self) {
        for other in &self.each {
            let (sending, since) = other.stats.in_flight();
            other.voice.watch(sending + other.waiting.spans.load(Relaxed) as u64, since);
        }
    }

    /// A shutdown has begun, which gives up then: whoever fails is to do it before.
    pub(super) fn closing(&self, until: Instant) {
        let _ = self.ending.set(until);
    }

    /// Says what they have not sent by the end of the process.
    pub(super) fn gave_up(&self) {
        for other in &self.each {
            let unsent = other.stats.in_flight().0 + other.waiting.spans.load(Relaxed) as u64;
            other.voice.gave_up(unsent);
        }
    }

    /// Gives each of them an order, and hears when it was carried out: nothing more comes after the last.
    fn order(&self, order: impl Fn(Sender<()>) -> Order) -> Receiver<()> {
        let (done, is_done) = channel();
        for other in &self.each {
            let _ = other.orders.send(order(done.clone()));
        }
        is_done
    }
}

/// One of the others, on its thread.
struct Worker {
    sink: Box<dyn SpanSink>,
    waiting: Arc<Load>,
    stats: Arc<ExporterStats>,
    voice: Arc<Voice>,
    ending: Arc<OnceLock<Instant>>,
    /// Whether the last batch was taken.
    well: bool,
    batching: Batching,
}

impl Worker {
    fn work(mut self, orders: &Receiver<Order>) {
        let _quiet = quiet::settle();
        let batch = self.batching.batch.max(1);
        let mut held = Vec::new();
        // When what is held is sent although it fills no batch.
        let mut due: Option<Instant> = None;
        loop {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            match orders.recv_timeout(left.unwrap_or(Duration::MAX)) {
                Ok(Order::Spans(spans)) => {
                    held.extend(spans);
                    self.send(&mut held, batch);
                    due = (!held.is_empty())
                        .then(|| due.unwrap_or_else(|| clock::deadline(self.batching.delay)));
                }
                Ok(Order::Send) | Err(RecvTimeoutError::Timeout) => {
                    self.send(&mut held, 1);
                    due = None;
                }
                Ok(Order::Flush(timeout, done)) => {
                    self.send(&mut held, 1);
                    let _ = catch_unwind(AssertUnwindSafe(|| self.sink.flush(timeout)));
                    // Nobody waits any more, if it fails.
                    let _ = done.send(());
                }
                Ok(Order::Shutdown(timeout, done)) => {
                    self.send(&mut held, 1);
                    let _ = catch_unwind(AssertUnwindSafe(|| self.sink.shutdown(timeout)));
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Sends batches, as long as `least` are held.
    fn send(&mut self, held: &mut Vec<SpanData>, least: usize) {
        while held.len() >= least {
            let batch: Vec<_> = held.drain(..held.len().min(self.batching.batch.max(1))).collect();
            self.waiting.spans.fetch_sub(batch.len(), Relaxed);
            let bytes = batch.iter().map(size::of_span).sum();
            let (spans, start) = (batch.len() as u64, Instant::now());
            let ending = self.ending.get().copied();
            let timeout = timeout_of(self.batching.timeout, ending, self.well);
            self.stats.sending(spans);
            let sink = &mut self.sink;
            let result = catch_unwind(AssertUnwindSafe(|| sink.export(batch, timeout)));
            self.stats.done(spans, &result, start.elapsed());
            self.waiting.bytes.fetch_sub(bytes, Relaxed);
            self.well = matches!(result, Ok(Ok(())));
            if let Ok(Err(error)) = &result {
                self.voice.failed(error);
            }
        }
    }
}

impl SpanSink for FanOut {
    fn describe(&self) -> String {
        let others = self.others.each.iter().map(|other| other.description.clone());
        [self.first.describe()].into_iter().chain(others).collect::<Vec<_>>().join(" and ")
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The others have been told before they were moved to their threads.
        self.first.set_resource(resource);
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
        self.first.export(batch, timeout)
    }

    fn flush(&mut self, timeout: Duration) {
        let deadline = clock::deadline(timeout);
        let done = self.others.order(|done| Order::Flush(timeout, done));
        self.first.flush(timeout);
        wait(&done, deadline);
    }

    fn shutdown(&mut self, timeout: Duration) {
        let deadline = clock::deadline(timeout);
        let done = self.others.order(|done| Order::Shutdown(timeout, done));
        self.first.shutdown(timeout);
        wait(&done, deadline);
    }
}

/// Waits until all have carried out an order, or time is up.
fn wait(done: &Receiver<()>, deadline: Instant) {
    while done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says what it is asked for, and waits for what it is to hear then.
    struct Told(mpsc::Sender<&'static str>, mpsc::Receiver<&'static str>);

    impl Told {
        fn of(&self, asked: &'static str) {
            let _ = self.0.send(asked);
            let _ = self.1.recv_timeout(Duration::from_secs(60));
        }
    }

    impl SpanSink for Told {
        fn describe(&self) -> String {
            "told".into()
        }

        fn export(&mut self, _: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
            self.of("export");
            Ok(())
        }

        fn flush(&mut self, _: Duration) {
            self.of("flush");
        }

        fn shutdown(&mut self, _: Duration) {
            self.of("shutdown");
        }
    }

    #[test]
    fn each_is_asked_to_send_what_it_holds_back_and_none_waits_for_the_first() {
        let (tell, told) = mpsc::channel();
        let (go_on, first) = mpsc::channel();
        let (_, other) = mpsc::channel();
        let stats = Arc::new(ExporterStats::new("told".into()));
        let others: Vec<(Box<dyn SpanSink>, _)> =
            vec![(Box::new(Told(tell.clone(), other)), stats)];
        let first = Box::new(Told(tell, first));
        let mut all = FanOut::start(first, others, Batching::default(), Pace::default()).unwrap();
        let limit = Duration::from_secs(60);
        let asked = thread::spawn(move || {
            all.flush(limit);
            all.shutdown(limit);
        });
        for asked in ["flush", "shutdown"] {
            // Both, although the first is not done.
            let both = [(); 2].map(|()| told.recv_timeout(limit / 2));
            assert_eq!(both, [Ok(asked); 2]);
            go_on.send(asked).unwrap();
        }
        asked.join().unwrap();
    }
}
