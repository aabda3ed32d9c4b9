//! Memory of a thread's spans that are done, for its next ones.
//!
//! An allocator hands out the same sizes again cheaply while few are asked for at a time, and makes
//! threads wait for each other when a list grows or when somebody else gives it back. Spans have lists
//! of attributes, one each, of about the same length: those that come back (`span::buffer`) are used
//! again.

use super::record::{Extra, Record};
use crate::ahead;
use crate::spares::Spares;
use opentelemetry::KeyValue;
use opentelemetry::trace::Status;

/// Of each; one comes back with each span that ends, so more are hardly ever held.
const MOST: usize = 8;

/// What one list has room for at the beginning: as many as an HTTP server's span mostly has.
const ROOM: usize = 10;

/// A longer list is not kept.
const MOST_ROOM: usize = 32;

thread_local! {
    static LISTS: Spares<Vec<KeyValue>, MOST> = const { Spares::new() };
    // As boxes, which is how spans have them.
    static EXTRAS: Spares<Box<Extra>, MOST> = const { Spares::new() };
}

/// An empty list with room for so many.
pub(crate) fn attributes(room: usize) -> Vec<KeyValue> {
    let held = if room <= ROOM { Spares::take(&LISTS) } else { None };
    held.unwrap_or_else(|| Vec::with_capacity(room.max(ROOM)))
}

/// A span's [`Extra`], empty.
pub(super) fn extra() -> Box<Extra> {
    Spares::take(&EXTRAS).unwrap_or_default()
}

/// Takes what a record has that is done.
pub(super) fn keep(record: Record) {
    keep_list(record.live.attributes);
    if let Some(mut extra) = record.live.extra {
        empty(&mut extra);
        Spares::keep(&EXTRAS, extra);
    }
}

/// Begins to fetch what a record has that is to be kept next: on its way to the exporter others have had it.
#[inline(always)]
pub(super) fn fetch(record: &Record) {
    let attributes = &*record.live.attributes;
    ahead::fetch_all(attributes.get(..ROOM).unwrap_or(attributes));
    if let Some(extra) = &record.live.extra {
        ahead::fetch_all(std::slice::from_ref(&**extra));
    }
}

/// As it was made, but for lists that stay: most spans with values of their own have a few again, and most
/// with events.
// Field by field: nearly all are empty, and to see that costs less than to make and drop a whole.
fn empty(extra: &mut Extra) {
    let Extra {
        dropped_attributes,
        common,
        events,
        dropped_events,
        links,
        dropped_links,
        status,
        name,
        started_at,
        ended_at,
        scope,
        to,
        stated,
        candidates,
    } = extra;
    (*dropped_attributes, *dropped_events, *dropped_links) = (0, 0, 0);
    (*common, *name, *scope, *to) = (None, None, None, None);
    (*started_at, *ended_at, *stated) = (None, None, None);
    *status = Status::Unset;
    if links.capacity() > 0 {
        *links = Vec::new();
    }
    candidates.0.clear();
    if !events.is_empty() {
        events.drain(..).for_each(|event| keep_list(event.attributes));
        events.shrink_to(MOST);
    }
}

fn keep_list(mut list: Vec<KeyValue>) {
    list.clear();
    if (ROOM..=MOST_ROOM).contains(&list.capacity()) {
        Spares::keep(&LISTS, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::red::labelled::Place;
    use crate::span::buffer::{Buffers, QUIET_ROUNDS, SPANS};
    use crate::span::record::{End, Live};
    use opentelemetry::trace::{SpanId, SpanKind, TraceFlags, TraceId};

    fn done(pairs: usize) -> Record {
        let pair = |number| KeyValue::new("some.key", i64::try_from(number).unwrap_or(0));
        let mut attributes = Vec::with_capacity(pairs.max(ROOM));
        attributes.extend((0..pairs).map(pair));
        let tick = clock::now();
        let mut live = Live {
            parent: SpanId::INVALID,
            start: tick,
            site: None,
            attributes,
            extra: None,
            kind: SpanKind::Internal,
            parent_is_remote: false,
            is_over: true,
        };
        live.extra().dropped_attributes = 7;
        Record {
            trace_id: TraceId::from(1),
            span_id: SpanId::from(2),
            live,
            end: End { tick, outcome: None, place: Place::default(), flags: TraceFlags::SAMPLED },
        }
    }

    #[test]
    fn a_list_and_a_box_come_again_and_are_empty() {
        let record = done(3);
        let list = record.live.attributes.as_ptr();
        let extra = std::ptr::from_ref::<Extra>(record.live.extra.as_deref().unwrap());
        keep(record);
        let (again, other) = (attributes(2), attributes(2));
        assert!(again.is_empty() && std::ptr::eq(again.as_ptr(), list));
        assert!(other.is_empty() && other.capacity() >= ROOM);
        let again = super::extra();
        assert!(std::ptr::eq(&*again, extra) && again.dropped_attributes == 0);
        assert!(again.common.is_none() && again.candidates.0.is_empty());
    }

    fn add(buffers: &Buffers, spans: usize) {
        (0..spans).for_each(|_| _ = buffers.add(|| done(2)));
    }

    /// Lists and boxes that this thread has for its next spans.
    fn held() -> (usize, usize) {
        (Spares::held(&LISTS, <[_]>::len), Spares::held(&EXTRAS, <[_]>::len))
    }

    /// One more span, which was made before, brings memory back.
    fn assert_comes_back(buffers: &Buffers) {
        let mut another = Some(done(2));
        buffers.add(|| another.take().unwrap());
        assert_eq!(held(), (1, 1));
    }

    /// On a thread of its own: what is held is a thread's, and so is the buffer that it adds to.
    fn alone(work: fn(&Buffers)) {
        std::thread::spawn(move || work(&Buffers::default())).join().unwrap();
    }

    #[test]
    fn memory_comes_back_as_fast_as_it_is_used() {
        alone(|buffers| {
            add(buffers, SPANS + 1);
            buffers.drain(|_| {});
            add(buffers, SPANS - 1);
            assert_eq!(held(), (0, 0), "the second block had nothing");
            assert_comes_back(buffers);
        });
    }

    #[test]
    fn of_a_thread_that_is_quiet_no_memory_is_kept_again_and_again() {
        alone(|buffers| {
            let quiet = || (0..QUIET_ROUNDS).for_each(|_| _ = buffers.drain(|_| {}));
            add(buffers, 1);
            quiet();
            add(buffers, 1);
            quiet();
            add(buffers, SPANS - 2);
            // The first block comes back when the second one is full.
            add(buffers, 1);
            buffers.drain(|_| {});
            add(buffers, SPANS - 1 + 2);
            assert_eq!(held(), (0, 0), "the first two spans had nothing any more");
            assert_comes_back(buffers);
        });
    }

    #[test]
    fn what_is_held_is_bounded() {
        keep(done(MOST_ROOM + 1));
        let many: Vec<_> = (0..3 * MOST).map(|_| done(2)).collect();
        many.into_iter().for_each(keep);
        let lists = Spares::held(&LISTS, |lists| {
            assert!(lists.iter().all(|list| list.capacity() <= MOST_ROOM));
            lists.len()
        });
        let extras = Spares::held(&EXTRAS, <[_]>::len);
        assert_eq!((lists, extras), (MOST, MOST));
        assert!(attributes(ROOM + 1).capacity() > ROOM);
    }
}
