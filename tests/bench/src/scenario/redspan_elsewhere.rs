//! redspan in other surroundings: a tenth sampled, below a remote parent with a tracestate, beside a layer
//! that wants tracing spans, behind `compat::instrument`, and in an application that installs its own.

use super::metric_handles::exporter_running;
use super::otel_api::provider;
use super::redspan_calls::{charge, flush, keep, sampled, sampled_count};
use super::tracing_spans::{self, Layer as Bridge};
use super::{Group, ROOT, Running, Scenario};
use crate::discard::Discard;
use crate::work::{Declined, repeat, work};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::Sampler;
use redspan::sample::{parent_based, trace_id_ratio};
use std::sync::LazyLock;
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

const CALL: Scenario = Scenario { red: true, against: Some("redspan-sampled-root"), ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "redspan-10-percent",
        says: "as redspan-sampled-root, but a tenth of the traces is sampled, by ratio",
        set_up: || {
            let sampler = parent_based(trace_id_ratio(0.1));
            keep(redspan::builder().spans_to(Discard).sampler(sampler).install());
            let mut running = Running::new(|calls| repeat(calls, charge), flush);
            running.recorded = Some(sampled_count);
            running
        },
        ..CALL
    },
    Scenario {
        name: "redspan-remote-parent",
        says: "as redspan-sampled-root, all calls of a burst below one remote parent",
        set_up: || sampled(|calls| below_remote_parent(TraceState::NONE, || repeat(calls, charge))),
        ..CALL
    },
    Scenario {
        name: "redspan-tracestate",
        says: "the same, and the parent has a tracestate of two members",
        against: Some("otel-api-tracestate"),
        set_up: || sampled(|calls| below_remote_parent(tracestate(), || repeat(calls, charge))),
        ..CALL
    },
    Scenario {
        name: "redspan-wanted-by-a-layer",
        says: "as redspan-sampled-root, beside an unfiltered layer that looks at each tracing span: \
               the call opens one as well",
        set_up: || {
            keep(redspan::builder().spans_to(Discard).layer(Nosy).install());
            Running::new(|calls| repeat(calls, charge), flush)
        },
        ..CALL
    },
    Scenario {
        name: "redspan-compat-root",
        says: "`compat::instrument(skip_all)`, everything else as redspan-sampled-root",
        against: Some("tracing-otel+red-root"),
        set_up: || sampled(|calls| repeat(calls, charge_compat)),
        ..CALL
    },
    Scenario {
        name: "redspan-host-root",
        says: "not installed: the application has tracing-opentelemetry at its leanest, and \
               metrics-exporter-prometheus as its recorder",
        against: Some("tracing-otel-lean+metrics-root"),
        set_up: || in_host(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-host-metrics",
        group: Group::NoSpan,
        says: "not installed, nobody wants spans: RED alone, into the application's \
               metrics-exporter-prometheus",
        exports: false,
        against: Some("red-by-metrics-macros"),
        set_up: || exporter_running(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "tracing-otel-lean+metrics-root",
        says: "`#[tracing::instrument]` at its leanest, and RED by hand with the macros of `metrics`",
        against: None,
        set_up: || in_host(|calls| repeat(calls, charge_by_hand)),
        ..CALL
    },
];

/// Spans to tracing-opentelemetry, numbers to metrics-exporter-prometheus.
fn in_host(burst: fn(u64)) -> Running {
    let metrics = exporter_running(burst);
    let provider = provider(Sampler::AlwaysOn);
    tracing_spans::install(&provider, Bridge::Lean);
    Running::new(burst, move || {
        provider.force_flush().expect("the flush failed");
        (metrics.drain)();
    })
}

/// A layer as tokio's console or a flame graph: no filter, so that every span is made.
struct Nosy;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Nosy {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: LayerContext<'_, S>) {
        std::hint::black_box(attributes.metadata().name());
    }
}

static TRACESTATE: LazyLock<TraceState> = LazyLock::new(|| {
    let members = [("vendor", "t61rcWkgMzE"), ("other", "00f067aa0ba902b7")];
    TraceState::from_key_value(members).expect("two members as they should be")
});

pub(super) fn tracestate() -> TraceState {
    TRACESTATE.clone()
}

pub(super) fn below_remote_parent(state: TraceState, burst: impl FnOnce()) {
    let (trace, span) = (TraceId::from(0x4bf9_2f35_77b3_4da6), SpanId::from(0x00f0_67aa));
    let parent = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state);
    let _current = Context::new().with_remote_span_context(parent).attach();
    burst();
}

#[redspan::compat::instrument(skip_all)]
#[inline(never)]
fn charge_compat(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[tracing::instrument(skip_all)]
#[inline(never)]
fn charge_by_hand(order: u64) -> Result<u64, Declined> {
    super::red_by_handles::counted_with_macros(|| work(order))
}
