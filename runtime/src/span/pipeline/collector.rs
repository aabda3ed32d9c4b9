//! The collector's thread: from the threads' buffers, through the tail policy, to the queue.

use super::room::{self, Refused};
use super::{LAST_ROUND, ROUND, Shared};
use crate::clock;
use crate::config::settings::WhenFull;
use crate::quiet;
use crate::span::batch::Filling;
use crate::span::fan_out::Others;
use crate::span::hooks::Hooks;
use crate::span::record::Record;
use crate::span::stats::reason;
use crate::span::tail::{Outlet, Tail};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

/// From the collector to the queue.
struct Way<'a> {
    filling: &'a mut Filling,
    /// How many find room; for more it is not worth converting them.
    room: usize,
    /// So many bytes of them do.
    bytes: usize,
    /// Why they find none.
    full: &'static str,
    dropped: BTreeMap<&'static str, u64>,
}

impl Outlet for Way<'_> {
    fn keep(&mut self, record: &mut Record) {
        if self.filling.batch.len() < self.room && self.filling.batch.bytes() <= self.bytes {
            self.filling.add(record);
        } else {
            self.drop(self.full);
        }
    }

    fn drop(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}

/// What the thread does.
pub(super) fn run(
    shared: &Shared,
    mut tail: Option<Tail>,
    mut hooks: Hooks,
    others: Option<Arc<Others>>,
    mut filling: Filling,
) {
    let _quiet = quiet::settle();
    loop {
        let (wanted, closing, stop, flush_hooks, waiting, held) = {
            let mut queue = shared.queue();
            let flush_hooks = std::mem::take(&mut queue.flush_hooks);
            let closing = queue.closing.is_some() || queue.stop;
            let held = queue.spans.bytes() + queue.sending_bytes;
            (queue.rounds_wanted, closing, queue.stop, flush_hooks, queue.spans.len(), held)
        };
        let seen = !hooks.0.is_empty() || others.is_some();
        let most = shared.batching.queue;
        let (room, bytes) = match shared.batching.when_full {
            // Nobody but the exporter sees them, and it will not.
            WhenFull::DropNewest if !seen && stop => (0, 0),
            WhenFull::DropNewest if !seen => {
                (most.saturating_sub(waiting), room::bytes(most).saturating_sub(held))
            }
            _ => (usize::MAX, usize::MAX),
        };
        let why = if stop { reason::SHUTDOWN } else { reason::QUEUE_FULL };
        clock::settle();
        if stop {
            shared.last_round.store(true, Relaxed);
        }
        let now = Instant::now();
        let mut way =
            Way { filling: &mut filling, room, bytes, full: why, dropped: BTreeMap::new() };
        let dropped = shared.buffers.drain(|spans| {
            // They were found in their buffer just now: what held when they ended is seen.
            way.filling.settle();
            if let Some(tail) = &mut tail {
                return spans.each_mut(|it| tail.take(it.take(), now, &mut way));
            }
            // Their memory comes from other processors, all of it at once.
            spans.each(|it| _ = black_box(it.fetch()));
            spans.each_mut(|it| way.keep(it));
        });
        if let Some(tail) = &mut tail {
            tail.round(now, closing, &mut way);
        }
        for (why, spans) in way.dropped {
            shared.stats.dropped(why, spans);
        }
        shared.stats.dropped(reason::BUFFER_FULL, dropped);
        let converted = &mut filling.batch;
        if !hooks.0.is_empty() {
            converted.each(|span| hooks.ended(span));
        }
        if let Some(others) = others.as_ref().filter(|_| !stop) {
            others.give(converted);
            if flush_hooks {
                others.send();
            }
        }
        if flush_hooks {
            hooks.flush();
        }

        let mut queue = shared.queue();
        let (why, refused) = match queue.stop {
            true => {
                let newer = converted.len();
                converted.truncate(0);
                (reason::SHUTDOWN, Refused { older: 0, newer })
            }
            false => {
                let sending = queue.sending_bytes;
                let refused = room::admit(&mut queue.spans, converted, sending, &shared.batching);
                (reason::QUEUE_FULL, refused)
            }
        };
        queue.left += refused.older as u64;
        queue.entered += converted.len() as u64;
        if !converted.is_empty() {
            queue.since.get_or_insert_with(Instant::now);
            queue.stuck_since.get_or_insert_with(Instant::now);
        }
        queue.spans.append(converted);
        queue.rounds_done = queue.rounds_done.max(wanted);
        queue.pending = tail.as_ref().map_or(0, Tail::waiting);
        let until = queue.flush_until;
        let (waiting, since) = (queue.spans.len() as u64 + queue.in_flight, queue.stuck_since);
        shared.stats.dropped(why, (refused.older + refused.newer) as u64);
        drop(queue);
        shared.work.notify_all();
        shared.progress.notify_all();
        if stop {
            // The numbers are in, whatever becomes of this.
            let left = until.map(|it| it.saturating_duration_since(Instant::now()));
            hooks.shutdown(left.unwrap_or_default().max(LAST_ROUND));
            shared.queue().collector_gone = true;
            shared.progress.notify_all();
            return;
        }
        shared.voice.watch(waiting, since);
        others.iter().for_each(|others| others.watch());
        thread::park_timeout(ROUND);
    }
}
