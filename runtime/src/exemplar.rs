//! A measured value together with the span it was measured in.

use crate::clock::{self, Wall};
use opentelemetry::trace::{SpanId, TraceId};
use std::time::SystemTime;

/// A measured value and the span in which it was measured.
///
/// It is published only after its span was handed to an exporter, so the trace it names exists. A counter has one a
/// millisecond at most, and so has a bucket: of spans that have one for it within a millisecond not all are followed
/// up, and if the one that is gets lost, another has one in the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace the value was measured in.
    pub trace_id: TraceId,
    /// The span the value was measured in.
    pub span_id: SpanId,
    /// The measured value, in the unit of its metric.
    pub value: f64,
    /// When it was measured.
    pub time: SystemTime,
}

/// The least time between two exemplars of a series, in nanoseconds: their times are shown in milliseconds.
const APART: u64 = 1_000_000;

/// One place for an exemplar: the newest stays, unless the wall clock was set back after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    held: Option<Exemplar>,
    /// An exemplar of this time or later takes its place. As a number: most that are offered are older, and
    /// nothing more is asked of them.
    open_from: u64,
}

impl Slot {
    pub(crate) const EMPTY: Slot = Slot { held: None, open_from: 0 };

    /// Keeps `exemplar` unless one stands that is newer, or as old: spans are handed over in
    /// another order than they ended in, and Prometheus refuses exemplars that go back in time, or
    /// stand still.
    pub(crate) fn offer(&mut self, exemplar: Exemplar) {
        self.offer_of(exemplar.time.into(), || exemplar);
    }

    /// The same of one that is made only when it is kept.
    #[inline]
    pub(crate) fn offer_of(&mut self, time: Wall, make: impl FnOnce() -> Exemplar) {
        let Wall(nanos) = time;
        let takes = match (clock::is_ahead(time), clock::is_ahead(Wall(self.open_from))) {
            (true, false) => self.held.is_none(),
            // It would stay until the clock has caught up with it.
            (false, true) => true,
            _ => nanos >= self.open_from,
        };
        if takes {
            *self = Slot { held: Some(make()), open_from: nanos.saturating_add(APART) };
        }
    }

    pub(crate) fn get(&self) -> Option<Exemplar> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_measured_before_the_clock_was_set_back_gives_way() {
        let exemplar = |id, time| Exemplar {
            trace_id: TraceId::from(id),
            span_id: SpanId::from(7),
            value: 0.5,
            time,
        };
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
        let [before, after] = [exemplar(1, now + hour), exemplar(2, now)];
        let mut slot = Slot::EMPTY;
        slot.offer(before);
        assert_eq!(slot.get(), Some(before), "better than none");
        slot.offer(after);
        slot.offer(before);
        assert_eq!(slot.get(), Some(after), "whichever comes first");
        slot.offer(exemplar(3, now - hour));
        assert_eq!(slot.get(), Some(after), "of those that lie behind the newest");
    }

    #[test]
    fn a_series_never_shows_two_exemplars_of_one_millisecond() {
        let exemplar = |micros| Exemplar {
            trace_id: TraceId::from(7),
            span_id: SpanId::from(7),
            value: 0.5,
            time: SystemTime::UNIX_EPOCH + Duration::from_micros(micros),
        };
        let start = 1_700_000_000_000_000;
        let mut slot = Slot::EMPTY;
        let mut shown = Vec::new();
        for step in 0..20_000 {
            // Mostly forward, as spans are handed over.
            slot.offer(exemplar(start + step * 300 - (step % 3) * 700));
            let time = slot.get().map(|exemplar| exemplar.time);
            let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            let text = since.map(|it| format!("{}.{:03}", it.as_secs(), it.subsec_millis()));
            // As Prometheus reads it.
            let seconds: f64 = text.and_then(|text| text.parse().ok()).unwrap_or_default();
            shown.push((time, (seconds * 1000.0) as i64));
        }
        shown.dedup();
        assert!(shown.len() > 2_000, "{}", shown.len());
        assert!(shown.is_sorted_by(|one, next| one.1 < next.1));
    }
}
