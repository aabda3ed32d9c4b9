//! Several exporters at once: one that hangs holds up no other.

use super::export::{ExportError, SpanSink};
use super::stats::{ExporterStats, reason};
use crate::clock;
use crate::quiet;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Sends to the first on the export thread, and to each of the others on a thread of its own. What
/// becomes of a span is said by the first; the others have numbers of their own.
pub(crate) struct FanOut {
    first: Box<dyn SpanSink>,
    others: Vec<Other>,
    /// Spans that may wait for each of the others; more are dropped and counted.
    capacity: usize,
}

struct Other {
    description: String,
    orders: Sender<Order>,
    /// Spans that wait.
    waiting: Arc<AtomicUsize>,
    stats: Arc<ExporterStats>,
}

enum Order {
    Batch(Vec<SpanData>, Duration),
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
        capacity: usize,
    ) -> io::Result<Self> {
        let others = others.into_iter().map(|(sink, stats)| {
            let (orders, taken) = channel();
            let (description, counted) = (sink.describe(), Arc::clone(&stats));
            let waiting = Arc::new(AtomicUsize::new(0));
            let left = Arc::clone(&waiting);
            thread::Builder::new()
                .name("redspan-export".into())
                .spawn(move || work(sink, &taken, &left, &counted))?;
            Ok(Other { description, orders, waiting, stats })
        });
        Ok(FanOut { first, others: others.collect::<io::Result<_>>()?, capacity })
    }
}

fn work(
    mut sink: Box<dyn SpanSink>,
    orders: &Receiver<Order>,
    waiting: &AtomicUsize,
    stats: &ExporterStats,
) {
    let _quiet = quiet::settle();
    while let Ok(order) = orders.recv() {
        match order {
            Order::Batch(batch, timeout) => {
                waiting.fetch_sub(batch.len(), Relaxed);
                let (spans, start) = (batch.len() as u64, Instant::now());
                let result = catch_unwind(AssertUnwindSafe(|| sink.export(batch, timeout)));
                stats.done(spans, &result, start.elapsed());
            }
            Order::Flush(timeout, done) => {
                let _ = catch_unwind(AssertUnwindSafe(|| sink.flush(timeout)));
                // Nobody waits any more, if it fails.
                let _ = done.send(());
            }
            Order::Shutdown(timeout, done) => {
                let _ = catch_unwind(AssertUnwindSafe(|| sink.shutdown(timeout)));
                let _ = done.send(());
                return;
            }
        }
    }
}

impl SpanSink for FanOut {
    fn describe(&self) -> String {
        let others = self.others.iter().map(|other| other.description.clone());
        [self.first.describe()].into_iter().chain(others).collect::<Vec<_>>().join(" and ")
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The others have been told before they were moved to their threads.
        self.first.set_resource(resource);
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
        for other in &self.others {
            if other.waiting.load(Relaxed) + batch.len() > self.capacity {
                other.stats.dropped(reason::QUEUE_FULL, batch.len() as u64);
                continue;
            }
            other.waiting.fetch_add(batch.len(), Relaxed);
            // Its thread is there until the shutdown.
            let _ = other.orders.send(Order::Batch(batch.clone(), timeout));
        }
        self.first.export(batch, timeout)
    }

    fn flush(&mut self, timeout: Duration) {
        let deadline = clock::deadline(timeout);
        self.first.flush(timeout);
        self.wait(deadline, |done| Order::Flush(timeout, done));
    }

    fn shutdown(&mut self, timeout: Duration) {
        let deadline = clock::deadline(timeout);
        self.first.shutdown(timeout);
        self.wait(deadline, |done| Order::Shutdown(timeout, done));
    }
}

impl FanOut {
    /// Gives each of the others an order, and waits until all have carried it out or time is up.
    fn wait(&self, deadline: Instant, order: impl Fn(Sender<()>) -> Order) {
        let (done, is_done) = channel();
        for other in &self.others {
            let _ = other.orders.send(order(done.clone()));
        }
        drop(done);
        for _ in &self.others {
            let left = deadline.saturating_duration_since(Instant::now());
            if is_done.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says what it is asked for.
    struct Told(mpsc::Sender<&'static str>);

    impl SpanSink for Told {
        fn describe(&self) -> String {
            "told".into()
        }

        fn export(&mut self, _: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
            let _ = self.0.send("export");
            Ok(())
        }

        fn flush(&mut self, _: Duration) {
            let _ = self.0.send("flush");
        }

        fn shutdown(&mut self, _: Duration) {
            let _ = self.0.send("shutdown");
        }
    }

    #[test]
    fn each_is_asked_to_send_what_it_holds_back() {
        let (first, of_first) = mpsc::channel();
        let (other, of_other) = mpsc::channel();
        let stats = Arc::new(ExporterStats::new("told".into()));
        let others: Vec<(Box<dyn SpanSink>, _)> = vec![(Box::new(Told(other)), stats)];
        let mut all = FanOut::start(Box::new(Told(first)), others, 10).unwrap();
        let limit = Duration::from_secs(60);
        all.export(Vec::new(), limit).unwrap();
        all.flush(limit);
        all.shutdown(limit);
        for told in [of_first, of_other] {
            assert_eq!(told.try_iter().collect::<Vec<_>>(), ["export", "flush", "shutdown"]);
        }
    }
}
