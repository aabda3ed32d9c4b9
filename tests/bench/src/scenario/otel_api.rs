//! OpenTelemetry's API by hand, with the SDK's tracer, its batch processor and an exporter that
//! throws the spans away: a span is started below the current context, attached, and ended.

use super::red_by_hand::counted;
use super::redspan_elsewhere::{below_remote_parent, tracestate};
use super::{DEEP, Group, ROOT, Running, Scenario};
use crate::discard::Discard;
use crate::work::{Declined, repeat, work};
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanExporter,
};
use std::sync::OnceLock;
use std::time::Duration;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "otel-api-unsampled-root",
        group: Group::UnsampledRoot,
        says: "SDK tracer, parent-based always-off",
        exports: false,
        set_up: || set_up(Sampler::AlwaysOff, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "otel-api-unsampled-nested",
        group: Group::UnsampledNested,
        says: "the same, below one such root",
        exports: false,
        set_up: || set_up(Sampler::AlwaysOff, |calls| in_span("burst", || repeat(calls, charge))),
        ..ROOT
    },
    Scenario {
        name: "otel-api-root",
        says: "SDK tracer, context attached, batch processor",
        set_up: || set_up(Sampler::AlwaysOn, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "otel-api+red-root",
        says: "the same and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOn, |calls| repeat(calls, charge_counted)),
        ..ROOT
    },
    Scenario {
        name: "otel-api-tracestate",
        says: "otel-api-root below a remote parent with a tracestate of two members",
        set_up: || {
            set_up(Sampler::AlwaysOn, |calls| {
                below_remote_parent(tracestate(), || repeat(calls, charge));
            })
        },
        ..ROOT
    },
    Scenario {
        name: "otel-api-5-deep",
        group: Group::SampledNested,
        says: "five such spans, each below the last",
        deep: DEEP,
        set_up: || set_up(Sampler::AlwaysOn, |calls| repeat(calls, |n| deep(n, DEEP))),
        ..ROOT
    },
];

/// What redspan's pipeline does by default: 512 spans a batch, at the latest after a second, and
/// room for 65,536. The SDK's own queue of 2,048 would drop most of a burst of four threads.
pub(super) fn provider(sampler: Sampler) -> SdkTracerProvider {
    exporting_provider(Discard, Resource::builder_empty().build(), sampler)
}

pub(super) fn exporting_provider(
    exporter: impl SpanExporter + 'static,
    resource: Resource,
    sampler: Sampler,
) -> SdkTracerProvider {
    let batch = BatchConfigBuilder::default()
        .with_max_queue_size(65_536)
        .with_max_export_batch_size(512)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource)
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batch).build())
        .build()
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

fn set_up(sampler: Sampler, burst: fn(u64)) -> Running {
    let provider = provider(sampler);
    TRACER.set(provider.tracer("bench")).expect("a process runs one scenario");
    Running::new(burst, move || provider.force_flush().expect("the flush failed"))
}

#[inline]
fn in_span<T>(name: &'static str, body: impl FnOnce() -> T) -> T {
    let tracer = TRACER.get().expect("set up first");
    let current = Context::current();
    let span = tracer.start_with_context(name, &current);
    let context = current.with_span(span);
    let attached = context.clone().attach();
    let result = body();
    drop(attached);
    context.span().end();
    result
}

#[inline(never)]
fn charge(order: u64) -> Result<u64, Declined> {
    in_span("charge", || work(order))
}

#[inline(never)]
fn charge_counted(order: u64) -> Result<u64, Declined> {
    in_span("charge", || counted(|| work(order)))
}

#[inline(never)]
fn deep(order: u64, left: u64) -> Result<u64, Declined> {
    in_span("deep", || if left > 1 { deep(order, left - 1) } else { work(order) })
}
