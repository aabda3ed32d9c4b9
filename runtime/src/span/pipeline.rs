//! From the threads' buffers to the exporter.
//!
//! Two threads, so that an exporter which hangs cannot make the buffers overflow: the collector
//! empties the buffers, converts, and fills a bounded queue; the exporter's thread sends batches
//! from it. Callers touch neither.

mod collector;
mod exporter;
mod room;
#[cfg(test)]
pub(super) mod tests;
mod timeout;
mod warn;

pub(super) use room::bytes as bytes_for;
pub(super) use timeout::of as timeout_of;
pub(crate) use warn::Pace;
pub(super) use warn::Voice;

use super::batch::{Batch, Exporter, Filling, Makes};
use super::buffer::{Added, Buffers};
use super::fan_out::{FanOut, Others};
use super::hooks::Hooks;
use super::record::Record;
use super::stats::{ExporterStats, SpanStats, Stats, reason};
use super::tail::{Tail, TailPolicy};
use crate::clock;
use crate::config::settings::Batching;
use crate::home;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How often the collector comes by when no buffer calls it earlier.
const ROUND: Duration = Duration::from_millis(100);

/// How long a shutdown waits for the collector past its deadline: its last round never waits for
/// anybody, and what it finds must be counted before the numbers are looked at.
const LAST_ROUND: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Queue {
    spans: Batch,
    /// When the oldest of them came.
    since: Option<Instant>,
    /// Spans that ever entered the queue, and those that have left it for good.
    entered: u64,
    left: u64,
    /// Up to here a flush wants them sent, without waiting for a batch to fill.
    urgent: u64,
    /// Rounds of the collector that were asked for, and that are done.
    rounds_wanted: u64,
    rounds_done: u64,
    /// A shutdown has begun, and gives up then: what is pending is decided, in time to be sent.
    closing: Option<Instant>,
    stop: bool,
    /// Spans that the exporter is sending; none once a shutdown has given them up.
    in_flight: u64,
    /// What those take of the memory.
    sending_bytes: usize,
    collector_gone: bool,
    exporter_gone: bool,
    /// Spans that wait for the tail policy's decision.
    pending: u64,
    /// Flushes of the exporters that were asked for, that are done, and when nobody waits any more.
    flushes_wanted: u64,
    flushes_done: u64,
    flush_until: Option<Instant>,
    /// The next round asks the processors for it.
    flush_hooks: bool,
    /// Since when spans have been waiting without one leaving.
    stuck_since: Option<Instant>,
}

struct Shared {
    buffers: Buffers,
    queue: Mutex<Queue>,
    /// Something to send, or a stop.
    work: Condvar,
    /// A round or a batch is done.
    progress: Condvar,
    closed: AtomicBool,
    /// The collector has begun its last round.
    last_round: AtomicBool,
    batching: Batching,
    exemplars: bool,
    stats: Stats,
    voice: Voice,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where spans go, and how.
pub(crate) struct Plan {
    /// Whose resource is set.
    pub(crate) sinks: Vec<Exporter>,
    pub(crate) hooks: Hooks,
    pub(crate) batching: Batching,
    pub(crate) tail: Option<TailPolicy>,
    /// Whether exported spans become exemplars.
    pub(crate) exemplars: bool,
    /// When it is said that they do not leave.
    pub(crate) pace: Pace,
}

/// The way out; `None` inside when nothing takes spans.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    collector: Option<Thread>,
    /// The exporters but the first, if there are several.
    others: Option<Arc<Others>>,
    /// Rounds of the collector until all that has ended is decided.
    rounds: u64,
}

impl Pipeline {
    /// A pipeline whose spans nobody takes: for a process that exports none.
    pub(crate) fn disconnected(batching: Batching) -> Self {
        Pipeline {
            shared: Arc::new(Shared::new(batching)),
            collector: None,
            others: None,
            rounds: 0,
        }
    }

    /// Starts the two threads.
    pub(crate) fn start(plan: Plan) -> io::Result<Self> {
        let Plan { sinks, hooks, batching, tail, exemplars, pace } = plan;
        let shared =
            Arc::new(Shared { exemplars, voice: Voice::at(pace), ..Shared::new(batching) });
        let described =
            sinks.iter().map(|sink| Arc::new(ExporterStats::new(sink.sink().describe())));
        let exporters: Vec<_> = described.collect();
        shared.stats.exported_by(exporters.clone());
        let mut sinks = sinks.into_iter().zip(exporters);
        let Some((first, own)) = sinks.next() else {
            return Ok(Pipeline { shared, collector: None, others: None, rounds: 0 });
        };
        let others: Vec<_> = sinks.map(|(sink, own)| (sink.of_data(), own)).collect();
        let mut beside = None;
        let sink = match first {
            _ if !others.is_empty() => {
                let all = FanOut::start(first.of_data(), others, batching, pace)?;
                beside = Some(all.others());
                Exporter::Data(Box::new(all))
            }
            // Who looks at spans on their way needs more than bytes.
            _ if !hooks.0.is_empty() => Exporter::Data(first.of_data()),
            first => first,
        };
        let filling = Filling::new(Makes::of(&sink, beside.is_some() || !hooks.0.is_empty()));
        shared.queue().spans = filling.empty();
        let sending = filling.empty();
        // The tail policy decides about a root a round later.
        let rounds = if tail.is_some() { 2 } else { 1 };
        let others = beside.clone();
        let collector = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("redspan-collect".into()).spawn(move || {
                collector::run(&shared, tail.map(Tail::new), hooks, beside, filling)
            })?
        };
        let for_exporter = Arc::clone(&shared);
        let spawned = thread::Builder::new()
            .name("redspan-export".into())
            .spawn(move || exporter::run(&for_exporter, sink, sending, &own));
        let collector = collector.thread().clone();
        if let Err(error) = spawned {
            shared.queue().stop = true;
            collector.unpark();
            return Err(error);
        }
        Ok(Pipeline { shared, collector: Some(collector), others, rounds })
    }

    /// Whether anybody takes spans.
    pub(crate) fn is_connected(&self) -> bool {
        self.collector.is_some()
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// What became of the spans so far.
    pub(crate) fn read_stats(&self) -> SpanStats {
        self.count_late();
        let pending = self.look(|queue| queue.pending);
        SpanStats { pending, ..self.shared.stats.read() }
    }

    /// Shows what became of the spans among the metrics.
    pub(crate) fn publish_stats(&self) {
        self.count_late();
        let (queued, capacity) = self.queue();
        self.shared.stats.publish(queued, capacity);
    }

    /// How many spans wait for the exporter, and how many may.
    pub(crate) fn queue(&self) -> (usize, usize) {
        (self.look(|queue| queue.spans.len()), self.shared.batching.queue)
    }

    /// Nothing in a fork's child that cannot look.
    fn look<T: Default>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        home::lock(&self.shared.queue).map(|queue| look(&queue)).unwrap_or_default()
    }

    /// What those take of the memory, and those that are being sent, and what they may take.
    pub(crate) fn queue_bytes(&self) -> (usize, usize) {
        let bytes = self.look(|queue| queue.spans.bytes() + queue.sending_bytes);
        (bytes, bytes_for(self.shared.batching.queue))
    }

    /// A span has ended. Never blocks, never fails: what finds no room is dropped and counted, and not asked for.
    #[inline]
    pub(super) fn push(&self, record: impl FnMut() -> Record) {
        self.shared.stats.ended.add(1);
        let Some(collector) = self.collector.as_ref().filter(|_| !self.shared.closed.load(Relaxed))
        else {
            self.shared.voice.late();
            return self.shared.stats.dropped(reason::SHUTDOWN, 1);
        };
        if let Added::Calls = self.shared.buffers.add(record) {
            collector.unpark();
        }
    }

    /// Counts what was added after the collector's last round began: nobody else comes for it.
    fn count_late(&self) {
        if self.shared.last_round.load(Relaxed) {
            let mut late = 0;
            let dropped = self.shared.buffers.drain(|spans| late += spans.len() as u64);
            self.shared.stats.dropped(reason::SHUTDOWN, late + dropped);
        }
    }

    /// Sends all spans that have ended by now; under a tail policy, all that it keeps of the traces
    /// whose local root has. False if `timeout` passed first.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.flush_as(timeout, false)
    }

    /// As [`Pipeline::flush`]; exporters and processors too send what they hold back.
    pub(crate) fn flush_all(&self, timeout: Duration) -> bool {
        self.flush_as(timeout, true)
    }

    fn flush_as(&self, timeout: Duration, thorough: bool) -> bool {
        let Some(collector) = &self.collector else { return true };
        let deadline = clock::deadline(timeout);
        let mut queue = self.shared.queue();
        for _ in 0..self.rounds {
            queue.flush_hooks |= thorough;
            queue.rounds_wanted += 1;
            let round = queue.rounds_wanted;
            collector.unpark();
            while queue.rounds_done < round {
                // After a shutdown: all that had ended is counted.
                if queue.collector_gone {
                    return true;
                }
                match self.wait(queue, deadline) {
                    Ok(held) => queue = held,
                    Err(()) => return false,
                }
            }
        }
        let target = queue.entered;
        queue.urgent = queue.urgent.max(target);
        self.shared.work.notify_all();
        while queue.left < target && !queue.exporter_gone {
            match self.wait(queue, deadline) {
                Ok(held) => queue = held,
                Err(()) => return false,
            }
        }
        if !thorough {
            return true;
        }
        queue.flushes_wanted += 1;
        let flush = queue.flushes_wanted;
        queue.flush_until = queue.flush_until.max(Some(deadline));
        self.shared.work.notify_all();
        while queue.flushes_done < flush && !queue.exporter_gone {
            match self.wait(queue, deadline) {
                Ok(held) => queue = held,
                Err(()) => return false,
            }
        }
        true
    }

    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, Queue>, ()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(());
        }
        let woken = self.shared.progress.wait_timeout(queue, left);
        Ok(woken.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The guard is dropped.
    pub(crate) fn let_go(&self) {
        if !self.shared.closed.load(Relaxed) && self.shared.stats.ended.get() == 0 {
            self.shared.voice.unused();
        }
    }

    /// Flushes, closes the exporter, and counts what was left as dropped. False if `timeout` passed
    /// first. Idempotent.
    pub(crate) fn shutdown(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline(timeout);
        if self.shared.closed.swap(true, Relaxed) {
            return true;
        }
        self.shared.queue().closing = Some(deadline);
        self.others.iter().for_each(|others| others.closing(deadline));
        let mut done = self.flush_all(timeout);
        let mut queue = self.shared.queue();
        queue.stop = true;
        self.shared.work.notify_all();
        if let Some(collector) = &self.collector {
            collector.unpark();
            let deadlines = [deadline, deadline.max(Instant::now() + LAST_ROUND)];
            let gone: [fn(&Queue) -> bool; 2] = [|it| it.exporter_gone, |it| it.collector_gone];
            for (deadline, gone) in deadlines.into_iter().zip(gone) {
                while !gone(&queue) {
                    match self.wait(queue, deadline) {
                        Ok(held) => queue = held,
                        Err(()) => {
                            done = false;
                            queue = self.shared.queue();
                            break;
                        }
                    }
                }
            }
        }
        // The exporter may still be sending. Whatever comes of it, the numbers are read now.
        let unsent = queue.spans.len() as u64 + std::mem::take(&mut queue.in_flight);
        queue.spans.truncate(0);
        queue.left += unsent;
        self.shared.stats.dropped(reason::SHUTDOWN, unsent);
        drop(queue);
        self.shared.progress.notify_all();
        self.shared.voice.gave_up(unsent);
        self.others.iter().for_each(|others| others.gave_up());
        done
    }
}

impl Drop for Pipeline {
    /// One that was never installed: its threads end.
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

impl Shared {
    fn new(batching: Batching) -> Self {
        Shared {
            buffers: Buffers::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            closed: AtomicBool::new(false),
            last_round: AtomicBool::new(false),
            batching,
            exemplars: true,
            stats: Stats::new(),
            voice: Voice::default(),
        }
    }
}
