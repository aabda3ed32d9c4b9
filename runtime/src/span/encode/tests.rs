use super::*;
use crate::callsite::REST;
use crate::clock;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::span::batch::{Filling, Form, Makes};
use crate::span::common::Shared;
use crate::span::record::{End, Extra};
use bytes::Buf;
use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use prost::Message as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Random, and the same in each run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % (most + 1)
    }

    fn text(&mut self) -> String {
        // Around the lengths where a length takes another byte.
        let most = [0, 3, 130, 20_000][self.up_to(3) as usize];
        "aé€𝄞\0 \u{7f}".chars().cycle().take(self.up_to(most) as usize).collect()
    }

    fn list<T>(&mut self, one: impl Fn(&mut Dice) -> T) -> Vec<T> {
        (0..self.up_to(3)).map(|_| one(self)).collect()
    }

    fn value(&mut self) -> Value {
        match self.up_to(9) {
            0 => Value::Bool(self.up_to(1) == 1),
            1 => Value::I64(-(self.up_to(1 << 30) as i64)),
            2 => {
                // Around the widths where a number takes another byte.
                let most = [300, 20_000, 3_000_000][self.up_to(2) as usize];
                Value::I64(self.up_to(most) as i64)
            }
            3 => Value::F64(self.up_to(3) as f64 / 2.0),
            4 => Value::Array(Array::Bool(self.list(|dice| dice.up_to(1) == 1))),
            5 => Value::Array(Array::I64(self.list(|dice| dice.up_to(1 << 20) as i64 - 9))),
            6 => Value::Array(Array::F64(self.list(|dice| dice.up_to(9) as f64))),
            7 => Value::Array(Array::String(self.list(|dice| dice.text().into()))),
            _ => Value::String(self.text().into()),
        }
    }

    fn pairs(&mut self) -> Vec<KeyValue> {
        self.list(|dice| KeyValue::new(dice.text(), dice.value()))
    }

    fn context(&mut self) -> SpanContext {
        let state = match self.up_to(2) {
            0 => "a=b,c=d".parse().expect("a trace state"),
            _ => TraceState::NONE,
        };
        SpanContext::new(
            TraceId::from(u128::from(self.up_to(1 << 31)) << 70 | 1),
            SpanId::from(self.up_to(1 << 31) << 20 | 1),
            TraceFlags::new(self.up_to(3) as u8),
            self.up_to(1) == 1,
            state,
        )
    }

    fn time(&mut self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.up_to(1) * (1 << 60 | self.up_to(1 << 31)))
    }

    fn scope(&mut self) -> InstrumentationScope {
        let builder = InstrumentationScope::builder(["a", "b", ""][self.up_to(2) as usize]);
        match self.up_to(2) {
            0 => builder.build(),
            1 => builder.with_version("1").with_schema_url("https://x").build(),
            _ => builder.with_attributes([KeyValue::new("k", 1)]).build(),
        }
    }

    fn span(&mut self) -> SpanData {
        let mut events = SpanEvents::default();
        events.events = self
            .list(|dice| Event::new(dice.text(), dice.time(), dice.pairs(), dice.up_to(2) as u32));
        events.dropped_count = self.up_to(1) as u32;
        let mut links = SpanLinks::default();
        links.links =
            self.list(|dice| Link::new(dice.context(), dice.pairs(), dice.up_to(2) as u32));
        links.dropped_count = self.up_to(200) as u32;
        SpanData {
            span_context: self.context(),
            parent_span_id: SpanId::from(self.up_to(1)),
            parent_span_is_remote: self.up_to(1) == 1,
            span_kind: match self.up_to(4) {
                0 => SpanKind::Client,
                1 => SpanKind::Server,
                2 => SpanKind::Producer,
                3 => SpanKind::Consumer,
                _ => SpanKind::Internal,
            },
            name: self.text().into(),
            start_time: self.time(),
            end_time: self.time(),
            attributes: self.pairs(),
            dropped_attributes_count: self.up_to(2) as u32,
            events,
            links,
            status: match self.up_to(2) {
                0 => Status::Unset,
                1 => Status::Ok,
                _ => Status::Error { description: self.text().into() },
            },
            instrumentation_scope: self.scope(),
        }
    }
}

pub(in crate::span) static SITE: CallSite = CallSite {
    name: "charge",
    function: "charge",
    module: "shop::payments",
    file: "src/payments.rs",
    line: 17,
    fields: &[],
    rest: REST,
};

impl Dice {
    fn record(&mut self) -> Record {
        let data = self.span();
        let of_site = self.up_to(2) > 0;
        let said = KeyValue::new("component", "till");
        let extra = Extra {
            dropped_attributes: data.dropped_attributes_count,
            events: data.events.events,
            dropped_events: data.events.dropped_count,
            links: data.links.links,
            dropped_links: data.links.dropped_count,
            status: data.status,
            name: (!of_site).then_some(data.name),
            started_at: (self.up_to(1) == 1).then_some(data.start_time),
            ended_at: (self.up_to(1) == 1).then_some(data.end_time),
            scope: (!of_site).then(|| data.instrumentation_scope.into()),
            stated: Some(data.span_context.clone()),
            common: (self.up_to(1) == 1).then(|| Shared::counted(self.pairs())),
            ..Extra::default()
        };
        let live = Live {
            parent: data.parent_span_id,
            start: clock::now(),
            site: of_site.then_some(&SITE),
            attributes: data.attributes.into_iter().chain([said]).collect(),
            extra: (!of_site || self.up_to(1) == 1).then(|| extra.into()),
            kind: data.span_kind,
            parent_is_remote: data.parent_span_is_remote,
            is_over: true,
        };
        let outcome = [Outcome::Ok, Outcome::Error, Outcome::Panic, Outcome::Cancelled];
        Record {
            trace_id: data.span_context.trace_id(),
            span_id: data.span_context.span_id(),
            live,
            end: End {
                tick: clock::now(),
                outcome: of_site.then_some(outcome[self.up_to(3) as usize]),
                place: Place::default(),
                flags: data.span_context.trace_flags(),
            },
        }
    }
}

#[test]
fn the_bytes_of_a_record_are_those_of_its_data() {
    let mut dice = Dice(71);
    let resource = Resource::builder_empty().with_attributes(dice.pairs()).build();
    for _ in 0..200 {
        let mut records: Vec<Record> = (0..dice.up_to(5)).map(|_| dice.record()).collect();
        let mut filling = Filling::new(Makes::Bytes(Box::new(ToBytes::default())));
        records.iter_mut().for_each(|record| filling.add(record));
        let Form::Bytes(mut encoded) = filling.batch.spans else { panic!("no bytes") };
        let data =
            records.iter_mut().map(|record| record.take().data(record.times(clock::anchor())));
        let data: Vec<SpanData> = data.collect();
        let mut parts = request_of_bytes(&mut encoded, &resource);
        assert!(parts.copy_to_bytes(parts.remaining()) == request(&data, &resource, 0), "{data:?}");
    }
}

#[test]
fn the_bytes_are_those_of_the_messages() {
    let mut dice = Dice(17);
    for _ in 0..60 {
        let spans: Vec<SpanData> = (0..dice.up_to(5)).map(|_| dice.span()).collect();
        let resource = Resource::builder_empty().with_attributes(dice.pairs()).build();
        let written = request(&spans, &resource, 0);
        let resource_spans = group_spans_by_resource_and_scope(spans, &(&resource).into());
        let messages = ExportTraceServiceRequest { resource_spans };
        assert!(written == messages.encode_to_vec(), "{messages:?}");
    }
}
