//! What may wait for an exporter: so many spans, and so many bytes.

use crate::config::settings::{Batching, WhenFull};
use crate::span::batch::Batch;

/// Bytes for each span that may wait. Most are a tenth of that, or a quarter; a queue of as many as are large would
/// take what the program needs.
const A_SPAN: usize = 2 << 10;

/// However few may wait, they may be large.
const LEAST: usize = 16 << 20;

/// How many bytes may wait where so many spans may.
pub(in crate::span) fn bytes(spans: usize) -> usize {
    spans.saturating_mul(A_SPAN).max(LEAST)
}

/// Spans for which there was no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Of those that waited.
    pub(super) older: usize,
    /// Of those that came.
    pub(super) newer: usize,
}

/// Takes those of `new` out for which there is no room in `queue`, or, if that is what is asked for, makes room.
/// One that is longer than all that may wait may wait alone. `sending` bytes have left the queue and are there still.
pub(super) fn admit(
    queue: &mut Batch,
    new: &mut Batch,
    sending: usize,
    batching: &Batching,
) -> Refused {
    let most = bytes(batching.queue).saturating_sub(sending);
    match batching.when_full {
        WhenFull::DropOldest => {
            let spans = (queue.len() + new.len()).saturating_sub(batching.queue);
            let bytes = (queue.bytes() + new.bytes()).saturating_sub(most);
            let older = queue.reaching(spans, bytes);
            queue.drop_first(older);
            // What is more than the whole queue is older than the rest of it.
            let spans = (queue.len() + new.len()).saturating_sub(batching.queue);
            let bytes = (queue.bytes() + new.bytes()).saturating_sub(most);
            let newer = new.reaching(spans, bytes).min(new.len().saturating_sub(1));
            new.drop_first(newer);
            Refused { older, newer }
        }
        WhenFull::DropNewest => {
            let room = batching.queue.saturating_sub(queue.len());
            let alone = usize::from(queue.is_empty() && !new.is_empty());
            let fitting = new.fitting(room, most.saturating_sub(queue.bytes())).max(alone);
            let newer = new.len() - fitting;
            new.truncate(fitting);
            Refused { older: 0, newer }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::batch::{Filling, Makes};
    use crate::span::pipeline::tests::record;
    use crate::span::size::of_span;
    use opentelemetry::KeyValue;

    const LARGE: usize = 1 << 20;

    /// So many spans, each with a text of so many bytes.
    fn batch(spans: usize, length: usize) -> Batch {
        let mut filling = Filling::new(Makes::Data);
        for _ in 0..spans {
            let mut record = record();
            record.live.attributes.push(KeyValue::new("text", "x".repeat(length)));
            filling.add(&mut record);
        }
        filling.batch
    }

    fn refused(batching: &Batching, queue: &mut Batch, new: &mut Batch) -> (usize, usize) {
        let before = queue.len() + new.len();
        let Refused { older, newer } = admit(queue, new, 0, batching);
        assert_eq!(before, queue.len() + new.len() + older + newer);
        assert_eq!(queue.bytes(), queue.data().map(of_span).sum::<usize>());
        assert_eq!(new.bytes(), new.data().map(of_span).sum::<usize>());
        (older, newer)
    }

    #[test]
    fn large_spans_fill_a_queue_of_which_small_ones_take_a_corner() {
        let newest = Batching::default().queue(1_000);
        let oldest = newest.when_full(WhenFull::DropOldest);
        assert_eq!(bytes(1_000), 16 * LARGE);
        for (batching, expected) in [(&newest, (0, 3)), (&oldest, (3, 0))] {
            // Each takes somewhat more than its text.
            let (mut queue, mut new) = (batch(10, LARGE), batch(8, LARGE));
            assert_eq!(refused(batching, &mut queue, &mut new), expected);
            let (mut queue, mut new) = (batch(990, 10), batch(13, 10));
            assert_eq!(refused(batching, &mut queue, &mut new), expected);
            let (mut queue, mut new) = (batch(990, 10), batch(10, 10));
            assert_eq!(refused(batching, &mut queue, &mut new), (0, 0));
        }
        // More than all that may wait.
        let (mut queue, mut new) = (batch(2, LARGE), batch(20, LARGE));
        assert_eq!(refused(&oldest, &mut queue, &mut new), (2, 5));
    }

    #[test]
    fn what_is_being_sent_takes_room_and_the_longest_of_all_may_wait_alone() {
        let batching = Batching::default().queue(1_000);
        let (mut queue, mut new) = (batch(0, 0), batch(8, LARGE));
        let sending = 12 * LARGE;
        let expected = Refused { older: 0, newer: 5 };
        assert_eq!(admit(&mut queue, &mut new, sending, &batching), expected);
        for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
            let batching = batching.when_full(when_full);
            let (mut queue, mut new) = (batch(0, 0), batch(1, 20 * LARGE));
            assert_eq!(refused(&batching, &mut queue, &mut new), (0, 0), "{when_full:?}");
        }
    }
}
