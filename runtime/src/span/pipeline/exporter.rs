//! The exporter's thread: from the queue to the exporter, batch by batch.

use super::{Shared, timeout_of};
use crate::config::settings::Batching;
use crate::quiet;
use crate::span::batch::{Batch, Exporter};
use crate::span::stats::{ExporterStats, reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What the thread does.
pub(super) fn run(shared: &Shared, mut sink: Exporter, mut sending: Batch, own: &ExporterStats) {
    let _quiet = quiet::settle();
    let Batching { delay, batch, timeout, .. } = shared.batching;
    let mut well = true;
    loop {
        let mut queue = shared.queue();
        while queue.flushes_done >= queue.flushes_wanted {
            let waited = queue.since.map_or(Duration::ZERO, |since| since.elapsed());
            let due = queue.spans.len() >= batch || queue.left < queue.urgent || waited >= delay;
            if queue.stop || (due && !queue.spans.is_empty()) {
                break;
            }
            let left = queue.since.map_or(delay, |_| delay.saturating_sub(waited));
            let left = left.max(Duration::from_millis(1));
            let woken = shared.work.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.stop {
            break;
        }
        let (wanted, until) = (queue.flushes_wanted, queue.flush_until);
        if queue.flushes_done < wanted {
            drop(queue);
            let left = until.map_or(timeout, |it| it.saturating_duration_since(Instant::now()));
            let _ = catch_unwind(AssertUnwindSafe(|| sink.sink_mut().flush(left)));
            shared.queue().flushes_done = wanted;
            shared.progress.notify_all();
            continue;
        }
        queue.spans.move_first(batch.max(1), &mut sending);
        let count = sending.len();
        queue.since = (!queue.spans.is_empty()).then(Instant::now);
        queue.in_flight = count as u64;
        queue.sending_bytes = sending.bytes();
        own.sending(count as u64);
        let ending = queue.closing;
        drop(queue);
        let timeout = timeout_of(timeout, ending, well);

        // A sink may be somebody else's: its panic costs a batch, not the exporter.
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| sink.export(&mut sending.spans, timeout)));
        own.done(count as u64, &result, start.elapsed());
        well = matches!(result, Ok(Ok(())));
        // Before anybody who flushed looks at them.
        match &result {
            Ok(Ok(())) if shared.exemplars => sending.publish(|_| true),
            Ok(Err(error)) if shared.exemplars => sending.publish(|at| error.has_taken(at)),
            _ => {}
        }
        sending.truncate(0);
        let mut queue = shared.queue();
        queue.sending_bytes = 0;
        let sent = std::mem::take(&mut queue.in_flight);
        // Else a shutdown has given the batch up, and counted it.
        if sent > 0 {
            match &result {
                Ok(Ok(())) => shared.stats.exported(sent),
                Ok(Err(error)) => {
                    let lost = error.lost.map_or(sent, |lost| sent.min(lost as u64));
                    shared.stats.exported(sent - lost);
                    shared.stats.dropped(error.kind, lost);
                }
                Err(_) => shared.stats.dropped(reason::PANICKED, sent),
            }
            queue.left += sent;
        }
        if well {
            queue.stuck_since = (!queue.spans.is_empty()).then(Instant::now);
        }
        drop(queue);
        shared.progress.notify_all();
        if let Ok(Err(error)) = &result {
            shared.voice.failed(error);
        }
    }
    let _ = catch_unwind(AssertUnwindSafe(|| sink.sink_mut().shutdown(timeout)));
    shared.queue().exporter_gone = true;
    shared.progress.notify_all();
}
