//! `#[tracing::instrument]` with tracing-opentelemetry, the SDK's batch processor and an exporter
//! that throws the spans away: in its defaults, and at its leanest (no location, threads, target,
//! level or busy and idle times). `skip_all`, since redspan records no argument that is not named.

use super::otel_api::provider;
use super::red_by_hand::{counted, counted_async};
use super::{DEEP, Group, ROOT, Running, Scenario};
use crate::work::{Declined, failing_work, poll_to_end, repeat, work, work_in_polls};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::instrument;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

const UNSAMPLED_NESTED: Scenario =
    Scenario { group: Group::UnsampledNested, exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tracing-otel-unsampled-root",
        group: Group::UnsampledRoot,
        says: "tracing-opentelemetry's defaults, parent-based always-off",
        exports: false,
        set_up: || set_up(Sampler::AlwaysOff, Layer::Default, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean-unsampled-root",
        group: Group::UnsampledRoot,
        says: "at its leanest",
        exports: false,
        set_up: || set_up(Sampler::AlwaysOff, Layer::Lean, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-unsampled-nested",
        says: "tracing-opentelemetry's defaults",
        set_up: || set_up(Sampler::AlwaysOff, Layer::Default, below_one_root),
        ..UNSAMPLED_NESTED
    },
    Scenario {
        name: "tracing-otel-lean-unsampled-nested",
        says: "at its leanest",
        set_up: || set_up(Sampler::AlwaysOff, Layer::Lean, below_one_root),
        ..UNSAMPLED_NESTED
    },
    Scenario {
        name: "tracing-otel+red-unsampled-nested",
        says: "tracing-opentelemetry's defaults, and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOff, Layer::Default, counted_below_one_root),
        ..UNSAMPLED_NESTED
    },
    Scenario {
        name: "tracing-otel-lean+red-unsampled-nested",
        says: "at its leanest, and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOff, Layer::Lean, counted_below_one_root),
        ..UNSAMPLED_NESTED
    },
    Scenario {
        name: "tracing-otel-root",
        says: "tracing-opentelemetry's defaults",
        set_up: || set_up(Sampler::AlwaysOn, Layer::Default, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean-root",
        says: "at its leanest",
        set_up: || set_up(Sampler::AlwaysOn, Layer::Lean, |calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel+red-root",
        says: "tracing-opentelemetry's defaults, and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOn, Layer::Default, |calls| repeat(calls, charge_counted)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean+red-root",
        says: "at its leanest, and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOn, Layer::Lean, |calls| repeat(calls, charge_counted)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean-5-deep",
        group: Group::SampledNested,
        says: "at its leanest",
        deep: DEEP,
        set_up: || set_up(Sampler::AlwaysOn, Layer::Lean, |calls| repeat(calls, deep_1)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean+red-4-fields",
        group: Group::Fields,
        says: "at its leanest, and RED by hand",
        red: true,
        set_up: || {
            set_up(Sampler::AlwaysOn, Layer::Lean, |calls| {
                repeat(calls, |n| charge_with_4_fields(n, "EUR"))
            })
        },
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean+red-error",
        group: Group::Errors,
        says: "`err`, at its leanest, and RED by hand",
        red: true,
        set_up: || set_up(Sampler::AlwaysOn, Layer::Lean, |calls| repeat(calls, failing_charge)),
        ..ROOT
    },
    Scenario {
        name: "tracing-otel-lean+red-async-10",
        group: Group::Async,
        says: "at its leanest, and RED by hand, ready at the tenth poll",
        red: true,
        set_up: || {
            set_up(Sampler::AlwaysOn, Layer::Lean, |calls| {
                repeat(calls, |n| poll_to_end(charge_in_polls(n, 10)))
            })
        },
        ..ROOT
    },
];

pub(super) enum Layer {
    Default,
    Lean,
}

fn set_up(sampler: Sampler, layer: Layer, burst: fn(u64)) -> Running {
    let provider = provider(sampler);
    install(&provider, layer);
    Running::new(burst, move || provider.force_flush().expect("the flush failed"))
}

pub(super) fn install(provider: &SdkTracerProvider, layer: Layer) {
    let bridge = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    let bridge = match layer {
        Layer::Default => bridge,
        Layer::Lean => bridge
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false),
    };
    tracing::subscriber::set_global_default(Registry::default().with(bridge))
        .expect("a process runs one scenario");
}

#[instrument(skip_all)]
#[inline(never)]
pub(super) fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[instrument(skip_all)]
#[inline(never)]
pub(super) fn charge_counted(order: u64) -> Result<u64, Declined> {
    counted(|| work(order))
}

#[instrument]
fn below_one_root(calls: u64) {
    repeat(calls, charge);
}

#[instrument]
fn counted_below_one_root(calls: u64) {
    repeat(calls, charge_counted);
}

#[instrument(skip_all)]
#[inline(never)]
fn deep_1(order: u64) -> Result<u64, Declined> {
    deep_2(order)
}

#[instrument(skip_all)]
#[inline(never)]
fn deep_2(order: u64) -> Result<u64, Declined> {
    deep_3(order)
}

#[instrument(skip_all)]
#[inline(never)]
fn deep_3(order: u64) -> Result<u64, Declined> {
    deep_4(order)
}

#[instrument(skip_all)]
#[inline(never)]
fn deep_4(order: u64) -> Result<u64, Declined> {
    charge(order)
}

#[instrument(skip_all, fields(order.id = order, amount = order as f64, gift = true, currency = currency))]
#[inline(never)]
fn charge_with_4_fields(order: u64, currency: &str) -> Result<u64, Declined> {
    counted(|| work(order))
}

#[instrument(skip_all, err)]
#[inline(never)]
fn failing_charge(order: u64) -> Result<u64, Declined> {
    counted(|| failing_work(order))
}

#[instrument(skip_all)]
#[inline(never)]
async fn charge_in_polls(order: u64, polls: u32) -> Result<u64, Declined> {
    counted_async(work_in_polls(order, polls)).await
}
