//! Spans that wait for the exporter, in the form that it takes.

#[cfg(test)]
mod dice;
mod encoded;
mod waiting;

pub(crate) use encoded::Encoded;
use encoded::Written;
pub(in crate::span) use waiting::Waiting;

use super::confirmed::{Confirmed, Values};
use super::export::{ExportError, SpanSink};
use super::record::Record;
use super::size;
use crate::clock::{self, Anchor, Wall};
use crate::redact::{self, Redaction};
use opentelemetry_sdk::trace::SpanData;
use std::time::Duration;

/// Writes spans as the bytes that its exporter sends.
pub(crate) trait Encoder: Send {
    /// Appends the span, which started and ended at `times`, to `bytes`.
    fn encode(&mut self, record: &Record, times: [Wall; 2], bytes: &mut Vec<u8>);
}

/// An exporter that takes spans as bytes.
pub(crate) trait BytesSink: SpanSink {
    /// What writes them; none if it is to be given their data all the same.
    fn encoder(&self) -> Option<Box<dyn Encoder>>;

    /// As [`SpanSink::export`].
    fn export_bytes(&mut self, batch: &mut Encoded, timeout: Duration) -> Result<(), ExportError>;
}

/// An exporter, and in what form it takes spans.
pub(crate) enum Exporter {
    Data(Box<dyn SpanSink>),
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody else takes bytes"))]
    Bytes(Box<dyn BytesSink>),
}

impl Exporter {
    /// The same as one that takes their data.
    pub(super) fn of_data(self) -> Box<dyn SpanSink> {
        match self {
            Exporter::Data(sink) => sink,
            Exporter::Bytes(sink) => sink,
        }
    }

    fn encoder(&self) -> Option<Box<dyn Encoder>> {
        match self {
            Exporter::Data(_) => None,
            Exporter::Bytes(sink) => sink.encoder(),
        }
    }

    pub(crate) fn sink(&self) -> &dyn SpanSink {
        match self {
            Exporter::Data(sink) => &**sink,
            Exporter::Bytes(sink) => &**sink,
        }
    }

    pub(crate) fn sink_mut(&mut self) -> &mut dyn SpanSink {
        match self {
            Exporter::Data(sink) => &mut **sink,
            Exporter::Bytes(sink) => &mut **sink,
        }
    }

    pub(super) fn export(
        &mut self,
        spans: &mut Form,
        timeout: Duration,
    ) -> Result<(), ExportError> {
        match (self, spans) {
            (Exporter::Bytes(sink), Form::Bytes(spans)) => sink.export_bytes(spans, timeout),
            (sink, Form::Data(spans)) => {
                sink.sink_mut().export(spans.take_all(|span| span), timeout)
            }
            (sink, Form::Records(spans)) => {
                sink.sink_mut().export(spans.take_all(Ended::data), timeout)
            }
            (Exporter::Data(_), Form::Bytes(_)) => {
                Err(ExportError::new("other", "bytes were made for an exporter that takes none"))
            }
        }
    }
}

pub(super) enum Form {
    /// For those who look at them on their way.
    Data(Waiting<SpanData>),
    /// They become data where they are exported: these take four times as much, and are full of memory which, bought
    /// on one thread and given back on another, makes both wait for each other in the allocator.
    Records(Waiting<Ended>),
    Bytes(Encoded),
}

impl Default for Form {
    fn default() -> Self {
        Form::Data(Waiting::default())
    }
}

/// A span that has ended, and when it started and ended.
#[derive(Debug)]
pub(super) struct Ended {
    record: Record,
    times: [Wall; 2],
}

impl Ended {
    fn size(&self) -> usize {
        size_of_val(&self.times) + size::of_record(&self.record)
    }

    fn data(self) -> SpanData {
        self.record.data(self.times)
    }
}

/// Spans in one form, and what becomes true when they are handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) spans: Form,
    length: usize,
    /// What they take of the memory, about.
    bytes: usize,
    /// The number of the first one; the others count on from it, over the end of numbers.
    first: u32,
    /// Of the spans that have something, with their numbers. Under load those are few.
    confirmed: Waiting<(u32, Confirmed)>,
    /// What of that each of them has for itself.
    values: Values,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What they take of the memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What each of them takes.
    fn sizes(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.spans {
            Form::Data(spans) => Box::new(spans.iter().map(size::of_span)),
            Form::Records(spans) => Box::new(spans.iter().map(Ended::size)),
            Form::Bytes(spans) => Box::new(spans.spans.iter().map(Written::size)),
        }
    }

    fn bytes_of_first(&self, count: usize) -> usize {
        match count >= self.length {
            true => self.bytes,
            false => self.sizes().take(count).sum(),
        }
    }

    /// How many of the first are so many, and take so much, at most.
    pub(super) fn fitting(&self, spans: usize, mut bytes: usize) -> usize {
        if self.length <= spans && self.bytes <= bytes {
            return self.length;
        }
        let fits = |size| bytes.checked_sub(size).map(|left| bytes = left);
        self.sizes().take(spans).map_while(fits).count()
    }

    /// How many of the first are so many, and take so much, at least; all, if those are not enough.
    pub(super) fn reaching(&self, spans: usize, mut bytes: usize) -> usize {
        let lacks = |size: &usize| {
            let lacks = bytes > 0;
            bytes = bytes.saturating_sub(*size);
            lacks
        };
        self.sizes().take_while(lacks).count().max(spans.min(self.length))
    }

    /// Where a span stands.
    fn at(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    /// How many of the first `count` spans have something, and how many values those have.
    fn of_first(&self, count: usize) -> (usize, usize) {
        let first = self.confirmed.iter().take_while(|(number, _)| self.at(*number) < count);
        first.fold((0, 0), |(spans, values), (_, span)| {
            (spans + 1, values + usize::from(span.values))
        })
    }

    /// Another span comes last. `confirmed` adds its values.
    fn push(&mut self, confirmed: impl FnOnce(&mut Values) -> Option<Confirmed>) {
        if let Some(confirmed) = confirmed(&mut self.values) {
            let number = self.first.wrapping_add(self.length as u32);
            self.confirmed.push((number, confirmed));
        }
        self.length += 1;
    }

    /// Those of which `taken` says so were handed over: publishes their exemplars. The newest come first: no
    /// older one takes their places, and most are older.
    pub(super) fn publish(&self, taken: impl Fn(usize) -> bool) {
        let (anchor, mut values) = (clock::anchor(), self.values.iter().rev());
        for (number, span) in self.confirmed.iter().rev() {
            match taken(self.at(*number)) {
                true => span.publish(&mut values, anchor, None),
                false => values.by_ref().take(usize::from(span.values)).for_each(drop),
            }
        }
    }

    /// Moves all of `other` behind its own.
    pub(super) fn append(&mut self, other: &mut Batch) {
        match (&mut self.spans, &mut other.spans) {
            (Form::Data(own), Form::Data(others)) => own.append(others),
            (Form::Records(own), Form::Records(others)) => own.append(others),
            (Form::Bytes(own), Form::Bytes(others)) => own.append(others),
            // A pipeline's spans are all of one form.
            _ => return,
        }
        let further = self.first.wrapping_add(self.length as u32).wrapping_sub(other.first);
        for (number, _) in other.confirmed.iter_mut() {
            *number = number.wrapping_add(further);
        }
        self.length += std::mem::take(&mut other.length);
        self.bytes += std::mem::take(&mut other.bytes);
        self.confirmed.append(&mut other.confirmed);
        self.values.append(&mut other.values);
    }

    /// Shows each span to those who may change it on its way.
    pub(super) fn each(&mut self, see: impl FnMut(&mut SpanData)) {
        if let Form::Data(spans) = &mut self.spans {
            spans.iter_mut().for_each(see);
            self.bytes = spans.iter().map(size::of_span).sum();
        }
    }

    /// The spans, in the order in which they came; none where nobody looks at them.
    pub(super) fn data(&self) -> impl Iterator<Item = &SpanData> {
        let spans = match &self.spans {
            Form::Data(spans) => Some(spans.iter()),
            Form::Records(_) | Form::Bytes(_) => None,
        };
        spans.into_iter().flatten()
    }

    /// Leaves the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.bytes = self.bytes_of_first(count);
        match &mut self.spans {
            Form::Data(spans) => spans.truncate(count),
            Form::Records(spans) => spans.truncate(count),
            Form::Bytes(spans) => spans.truncate(count),
        }
        let (confirmed, values) = self.of_first(count);
        self.length = self.length.min(count);
        self.confirmed.truncate(confirmed);
        self.values.truncate(values);
    }

    pub(super) fn drop_first(&mut self, count: usize) {
        let count = count.min(self.length);
        self.bytes = self.bytes.saturating_sub(self.bytes_of_first(count));
        match &mut self.spans {
            Form::Data(spans) => spans.drop_oldest(count),
            Form::Records(spans) => spans.drop_oldest(count),
            Form::Bytes(spans) => spans.drop_first(count),
        }
        let (confirmed, values) = self.of_first(count);
        self.begin_after(count);
        self.confirmed.drop_oldest(confirmed);
        self.values.drop_oldest(values);
    }

    /// Moves the first `count`, or all if there are fewer, into `to`, which is empty: the same memory
    /// serves each time.
    pub(super) fn move_first(&mut self, count: usize, to: &mut Batch) {
        let count = count.min(self.length);
        let bytes = self.bytes_of_first(count);
        match (&mut self.spans, &mut to.spans) {
            (Form::Data(own), Form::Data(to)) => own.move_first(count, to),
            (Form::Records(own), Form::Records(to)) => own.move_first(count, to),
            (Form::Bytes(own), Form::Bytes(to)) => own.move_first(count, to),
            // A pipeline's spans are all of one form.
            _ => return,
        }
        let (confirmed, values) = self.of_first(count);
        (to.first, to.length, to.bytes) = (self.first, count, bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.begin_after(count);
        self.confirmed.move_first(confirmed, &mut to.confirmed);
        self.values.move_first(values, &mut to.values);
    }

    /// The first `count` have gone.
    fn begin_after(&mut self, count: usize) {
        self.first = self.first.wrapping_add(count as u32);
        self.length -= count;
    }
}

/// What a batch is made of.
pub(super) enum Makes {
    /// For those who look at spans on their way.
    Data,
    Records,
    Bytes(Box<dyn Encoder>),
}

impl Makes {
    /// What its exporter takes; `seen` where somebody looks at spans before.
    pub(super) fn of(exporter: &Exporter, seen: bool) -> Self {
        match exporter.encoder() {
            Some(encoder) => Makes::Bytes(encoder),
            None if seen => Makes::Data,
            None => Makes::Records,
        }
    }
}

/// What makes a batch of ended spans.
pub(super) struct Filling {
    pub(super) batch: Batch,
    makes: Makes,
    anchor: Anchor,
    redaction: &'static Redaction,
}

impl Filling {
    pub(super) fn new(makes: Makes) -> Self {
        let (anchor, redaction) = (clock::anchor(), redact::current());
        let mut filling = Filling { batch: Batch::default(), makes, anchor, redaction };
        filling.batch = filling.empty();
        filling
    }

    /// Spans come that have all ended: the wall clock may have been set since the last ones, or a redaction
    /// installed.
    pub(super) fn settle(&mut self) {
        (self.anchor, self.redaction) = (clock::anchor(), redact::current());
    }

    /// A batch of the same form.
    pub(super) fn empty(&self) -> Batch {
        let spans = match &self.makes {
            Makes::Data => Form::Data(Waiting::default()),
            Makes::Records => Form::Records(Waiting::default()),
            Makes::Bytes(_) => Form::Bytes(Encoded::default()),
        };
        Batch { spans, ..Batch::default() }
    }

    /// Adds the span; what memory is left to it may go back to its thread.
    pub(super) fn add(&mut self, record: &mut Record) {
        record.clean(self.redaction);
        let times = record.times(self.anchor);
        // Before the attributes are moved, at which it looks.
        self.batch.push(|values| record.confirmed_soon(times, values));
        match (&mut self.batch.spans, &mut self.makes) {
            (Form::Bytes(spans), Makes::Bytes(encoder)) => {
                let scope = record.live.extra.as_ref().and_then(|extra| extra.scope.clone());
                self.batch.bytes +=
                    spans.write(scope, |bytes| encoder.encode(record, times, bytes));
            }
            (Form::Data(spans), _) => {
                let data = record.leave_memory().data(times);
                self.batch.bytes += size::of_span(&data);
                spans.push(data);
            }
            (Form::Records(spans), _) => {
                let ended = Ended { record: record.leave_memory(), times };
                self.batch.bytes += ended.size();
                spans.push(ended);
            }
            // A pipeline's spans are all of one form.
            (Form::Bytes(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::confirmed::Value;
    use super::dice::Dice;
    use super::*;
    use crate::clock::Tick;
    use crate::outcome::Outcome;
    use crate::red::labelled::Place;
    use crate::span::pipeline::tests::record;
    use crate::span::record::Extra;
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Event, SpanId, Status, TraceId};
    use std::collections::VecDeque;
    use std::time::UNIX_EPOCH;

    fn has_something(span: &u64) -> bool {
        span.is_multiple_of(5)
    }

    /// What a span has that has something: it as its trace, and as each of its values.
    fn confirmed(span: u64, values: &mut Values) -> Option<Confirmed> {
        let of_its_own = has_something(&span).then_some((span % 3) as u8)?;
        (0..of_its_own).for_each(|_| values.push(Value::ErrorType((span as i64).into())));
        Some(Confirmed {
            trace_id: TraceId::from(u128::from(span)),
            span_id: SpanId::INVALID,
            site: None,
            place: Place::default(),
            duration: 0,
            ended_at: Wall(0),
            outcome: Outcome::Ok,
            values: of_its_own,
        })
    }

    /// Which spans have something, by where they stand, and whose the values are.
    fn held(batch: &Batch) -> (Vec<(usize, u64)>, Vec<u64>) {
        let each = batch.confirmed.iter().map(|(number, span)| {
            (batch.at(*number), u128::from_be_bytes(span.trace_id.to_bytes()) as u64)
        });
        let values = batch.values.iter().map(|value| match value {
            Value::ErrorType(opentelemetry::Value::I64(span)) => *span as u64,
            _ => panic!("it is none of these"),
        });
        (each.collect(), values.collect())
    }

    fn expected<'a>(spans: impl Iterator<Item = &'a u64>) -> (Vec<(usize, u64)>, Vec<u64>) {
        let each: Vec<_> =
            spans.copied().enumerate().filter(|(_, span)| has_something(span)).collect();
        let values = each.iter().flat_map(|&(_, span)| (0..span % 3).map(move |_| span)).collect();
        (each, values)
    }

    /// Spans with more and more of what a span may have.
    fn spans(at: Tick) -> [Record; 3] {
        let [bare, mut with_field, mut with_all] = [(); 3].map(|()| {
            let mut record = record();
            (record.live.start, record.end.tick) = (at, at);
            record
        });
        with_field.live.attributes.push(KeyValue::new("field", "value"));
        with_all.live.attributes.push(KeyValue::new("field", 7));
        with_all.end.outcome = Some(Outcome::Cancelled);
        let extra = with_all.live.extra();
        extra.name = Some("another".into());
        extra.status = Status::error("declined");
        extra.events = vec![Event::new("event", UNIX_EPOCH, Vec::new(), 0)];
        extra.dropped_attributes = 3;
        [bare, with_field, with_all]
    }

    #[test]
    fn spans_become_the_same_data_sooner_and_later() {
        let [mut sooner, mut later] = [Makes::Data, Makes::Records].map(Filling::new);
        later.anchor = sooner.anchor;
        let now = clock::now();
        spans(now).iter_mut().for_each(|span| sooner.add(span));
        let mut left = spans(now);
        left.iter_mut().for_each(|span| later.add(span));
        let holds = left.each_ref().map(Record::holds_memory);
        assert_eq!(holds, [false, true, true], "their memory is for their thread's next ones");
        let Form::Records(waiting) = &mut later.batch.spans else { panic!("no records") };
        let size: usize = waiting.iter().map(Ended::size).sum();
        assert_eq!(later.batch.bytes, size);
        // What `guide::cost` states.
        assert!(size_of::<Ended>() <= 128, "{}", size_of::<Ended>());
        assert!(size_of::<Extra>() <= 400, "{}", size_of::<Extra>());
        let data: Vec<_> = std::iter::from_fn(|| waiting.take()).map(Ended::data).collect();
        assert!(sooner.batch.data().eq(&data), "{data:?}");
        assert_eq!((&*data[2].name, data[2].dropped_attributes_count), ("another", 3));
    }

    #[test]
    fn what_few_spans_have_stays_theirs_whatever_is_done_to_the_others() {
        let mut dice = Dice(5);
        let mut up_to = |most| dice.up_to(most);
        let (mut filling, mut queue, mut sending) =
            (Batch::default(), Batch::default(), Batch::default());
        // They come to the last number soon.
        queue.first = u32::MAX - 5_000;
        let mut spans = VecDeque::new();
        let mut next: u64 = 0;
        for _ in 0..2_000 {
            let some = [up_to(3), up_to(40), up_to(300)][up_to(2)];
            match up_to(5) {
                0..3 => {
                    for _ in 0..some {
                        next += 1;
                        filling.push(|values| confirmed(next, values));
                        spans.push_back(next);
                    }
                    queue.append(&mut filling);
                    assert!(filling.is_empty() && held(&filling) == (Vec::new(), Vec::new()));
                }
                3 => {
                    queue.drop_first(some);
                    spans.drain(..some.min(spans.len()));
                }
                4 => {
                    let left = queue.len().saturating_sub(some);
                    queue.truncate(left);
                    spans.truncate(left);
                }
                _ => {
                    queue.move_first(some, &mut sending);
                    let moved: Vec<u64> = spans.drain(..some.min(spans.len())).collect();
                    assert_eq!(
                        (sending.len(), held(&sending)),
                        (moved.len(), expected(moved.iter()))
                    );
                    sending.truncate(0);
                }
            }
            assert_eq!((queue.len(), held(&queue)), (spans.len(), expected(spans.iter())));
        }
        assert!(queue.first < u32::MAX / 2, "the numbers began anew");
    }
}
