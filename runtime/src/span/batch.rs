//! Spans that wait for the exporter, in the form that it takes.

mod encoded;
mod waiting;

pub(crate) use encoded::Encoded;
pub(in crate::span) use waiting::Waiting;

use super::confirmed::{Confirmed, Values};
use super::export::{ExportError, SpanSink};
use super::record::Record;
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

    pub(super) fn encoder(&self) -> Option<Box<dyn Encoder>> {
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
                let spans = std::iter::from_fn(|| spans.take()).collect();
                sink.sink_mut().export(spans, timeout)
            }
            (Exporter::Data(_), Form::Bytes(_)) => {
                Err(ExportError::new("other", "bytes were made for an exporter that takes none"))
            }
        }
    }
}

pub(super) enum Form {
    Data(Waiting<SpanData>),
    Bytes(Encoded),
}

impl Default for Form {
    fn default() -> Self {
        Form::Data(Waiting::default())
    }
}

/// Spans in one form, and what becomes true when they are handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) spans: Form,
    pub(super) confirmed: Waiting<Confirmed>,
    /// What of that each span has for itself.
    pub(super) values: Values,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.confirmed.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.confirmed.is_empty()
    }

    /// How many values the first `count` have.
    fn values_of(&self, count: usize) -> usize {
        self.confirmed.iter().take(count).map(|span| span.values as usize).sum()
    }

    /// Those of which `taken` says so were handed over: publishes their exemplars. The newest come first: no
    /// older one takes their places, and most are older.
    pub(super) fn publish(&self, taken: impl Fn(usize) -> bool) {
        let (anchor, mut values) = (clock::anchor(), self.values.iter().rev());
        for (span, at) in self.confirmed.iter().rev().zip((0..self.len()).rev()) {
            match taken(at) {
                true => span.publish(&mut values, anchor, None),
                false => values.by_ref().take(span.values as usize).for_each(drop),
            }
        }
    }

    /// Moves all of `other` behind its own.
    pub(super) fn append(&mut self, other: &mut Batch) {
        match (&mut self.spans, &mut other.spans) {
            (Form::Data(own), Form::Data(others)) => own.append(others),
            (Form::Bytes(own), Form::Bytes(others)) => own.append(others),
            // A pipeline's spans are all of one form.
            _ => return,
        }
        self.confirmed.append(&mut other.confirmed);
        self.values.append(&mut other.values);
    }

    /// Shows each span to those who want to see it on its way.
    pub(super) fn each(&mut self, see: impl FnMut(&mut SpanData)) {
        if let Form::Data(spans) = &mut self.spans {
            spans.iter_mut().for_each(see);
        }
    }

    /// Leaves the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        match &mut self.spans {
            Form::Data(spans) => spans.truncate(count),
            Form::Bytes(spans) => spans.truncate(count),
        }
        self.values.truncate(self.values_of(count));
        self.confirmed.truncate(count);
    }

    pub(super) fn drop_first(&mut self, count: usize) {
        let count = count.min(self.len());
        match &mut self.spans {
            Form::Data(spans) => spans.drop_oldest(count),
            Form::Bytes(spans) => spans.drop_first(count),
        }
        self.values.drop_oldest(self.values_of(count));
        self.confirmed.drop_oldest(count);
    }

    /// Moves the first `count`, or all if there are fewer, into `to`, which is empty: the same memory
    /// serves each time.
    pub(super) fn move_first(&mut self, count: usize, to: &mut Batch) {
        let count = count.min(self.len());
        match (&mut self.spans, &mut to.spans) {
            (Form::Data(own), Form::Data(to)) => own.move_first(count, to),
            (Form::Bytes(own), Form::Bytes(to)) => own.move_first(count, to),
            // A pipeline's spans are all of one form.
            _ => return,
        }
        self.values.move_first(self.values_of(count), &mut to.values);
        self.confirmed.move_first(count, &mut to.confirmed);
    }
}

/// What makes a batch of ended spans.
pub(super) struct Filling {
    pub(super) batch: Batch,
    /// For bytes.
    encoder: Option<Box<dyn Encoder>>,
    anchor: Anchor,
    redaction: &'static Redaction,
}

impl Filling {
    pub(super) fn new(encoder: Option<Box<dyn Encoder>>) -> Self {
        let (anchor, redaction) = (clock::anchor(), redact::current());
        let mut filling = Filling { batch: Batch::default(), encoder, anchor, redaction };
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
        let spans = match &self.encoder {
            Some(_) => Form::Bytes(Encoded::default()),
            None => Form::default(),
        };
        Batch { spans, ..Batch::default() }
    }

    /// Adds the span; what memory is left to it may go back to its thread.
    pub(super) fn add(&mut self, record: &mut Record) {
        record.clean(self.redaction);
        let times = record.times(self.anchor);
        // Before the attributes are moved, at which it looks.
        let confirmed = record.confirmed(times, &mut self.batch.values);
        self.batch.confirmed.push(confirmed);
        match (&mut self.batch.spans, &mut self.encoder) {
            (Form::Bytes(spans), Some(encoder)) => {
                let scope = record.live.extra.as_ref().and_then(|extra| extra.scope.clone());
                spans.write(scope, |bytes| encoder.encode(record, times, bytes));
            }
            (Form::Data(spans), _) => spans.push(record.data(times)),
            (Form::Bytes(_), None) => {}
        }
    }
}
