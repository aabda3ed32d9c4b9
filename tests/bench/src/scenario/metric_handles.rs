//! Metrics by hand: one addition, or one value, a turn. Handles are resolved once, except where the
//! labels are what is looked up. Nobody reads meanwhile; every peer has a registry or a reader that
//! could. Histograms have redspan's 17 bounds; metrics-exporter-prometheus is given them too, and keeps
//! the values one by one until somebody reads, so its histogram is emptied between bursts.

use super::red_by_hand::BOUNDS;
use super::{Group, ROOT, Running, Scenario};
use crate::work::repeat;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, MeterProvider as _};
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use redspan::Label;
use redspan::metrics::{Counter, Histogram, Metrics};
use std::hint::black_box;
use std::sync::{LazyLock, OnceLock};

const METRIC: Scenario = Scenario { exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "metric-counter-redspan",
        group: Group::Counter,
        says: "redspan: Counter",
        against: Some("metric-counter-prometheus-client"),
        set_up: || redspan_running(|calls| repeat(calls, |_| SHOP.hot.increment())),
        ..METRIC
    },
    Scenario {
        name: "metric-counter-prometheus-client",
        group: Group::Counter,
        says: "prometheus-client: Counter",
        set_up: || Running::without_spans(|calls| repeat(calls, |_| PEER.counter.inc())),
        ..METRIC
    },
    Scenario {
        name: "metric-counter-metrics",
        group: Group::Counter,
        says: "metrics with metrics-exporter-prometheus: Counter",
        set_up: || exporter_running(|calls| repeat(calls, |_| MACROS.counter.increment(1))),
        ..METRIC
    },
    Scenario {
        name: "metric-counter-otel-bound",
        group: Group::Counter,
        says: "OpenTelemetry SDK: bound u64 counter, two attributes",
        set_up: || otel_running(|calls| repeat(calls, |_| OTEL.counter.add(1))),
        ..METRIC
    },
    Scenario {
        name: "metric-labelled-redspan",
        group: Group::Labelled,
        says: "redspan: Counter of a label set, by value",
        against: Some("metric-labelled-prometheus-client"),
        set_up: || {
            redspan_running(|calls| {
                repeat(calls, |turn| SHOP.orders.with(&placed(turn)).increment());
            })
        },
        ..METRIC
    },
    Scenario {
        name: "metric-labelled-prometheus-client",
        group: Group::Labelled,
        says: "prometheus-client: Family::get_or_create",
        set_up: || {
            Running::without_spans(|calls| {
                repeat(calls, |turn| PEER.orders.get_or_create(&peer_placed(turn)).inc());
            })
        },
        ..METRIC
    },
    Scenario {
        name: "metric-labelled-metrics",
        group: Group::Labelled,
        says: "metrics with metrics-exporter-prometheus: counter! with two labels",
        set_up: || {
            exporter_running(|calls| {
                repeat(calls, |turn| {
                    let (region, express) = words(turn);
                    metrics::counter!("orders", "region" => region, "express" => express)
                        .increment(1);
                });
            })
        },
        ..METRIC
    },
    Scenario {
        name: "metric-labelled-metrics-on-redspan",
        group: Group::Labelled,
        says: "metrics with redspan's recorder: counter! with two labels",
        against: Some("metric-labelled-metrics"),
        set_up: || {
            let _ = metrics::set_global_recorder(redspan::recorder());
            Running::without_spans(|calls| {
                repeat(calls, |turn| {
                    let (region, express) = words(turn);
                    metrics::counter!("orders", "region" => region, "express" => express)
                        .increment(1);
                });
            })
        },
        ..METRIC
    },
    Scenario {
        name: "metric-labelled-otel",
        group: Group::Labelled,
        says: "OpenTelemetry SDK: u64 counter with two attributes",
        set_up: || {
            otel_running(|calls| {
                repeat(calls, |turn| {
                    let (region, express) = words(turn);
                    let labels =
                        [KeyValue::new("region", region), KeyValue::new("express", express)];
                    OTEL.orders.add(1, &labels);
                });
            })
        },
        ..METRIC
    },
    Scenario {
        name: "metric-histogram-redspan",
        group: Group::Histogram,
        says: "redspan: Histogram",
        against: Some("metric-histogram-prometheus-client"),
        set_up: || redspan_running(|calls| repeat(calls, |turn| SHOP.wait.record(value(turn)))),
        ..METRIC
    },
    Scenario {
        name: "metric-histogram-redspan-exponential",
        group: Group::Histogram,
        says: "redspan: Histogram, exponential",
        against: Some("metric-histogram-prometheus-client"),
        set_up: || redspan_running(|calls| repeat(calls, |turn| SHOP.spread.record(value(turn)))),
        ..METRIC
    },
    Scenario {
        name: "metric-histogram-prometheus-client",
        group: Group::Histogram,
        says: "prometheus-client: Histogram",
        set_up: || {
            Running::without_spans(|calls| repeat(calls, |turn| PEER.wait.observe(value(turn))))
        },
        ..METRIC
    },
    Scenario {
        name: "metric-histogram-metrics",
        group: Group::Histogram,
        says: "metrics with metrics-exporter-prometheus: Histogram",
        set_up: || exporter_running(|calls| repeat(calls, |turn| MACROS.wait.record(value(turn)))),
        ..METRIC
    },
    Scenario {
        name: "metric-histogram-otel-bound",
        group: Group::Histogram,
        says: "OpenTelemetry SDK: bound f64 histogram, two attributes",
        set_up: || otel_running(|calls| repeat(calls, |turn| OTEL.wait.record(value(turn)))),
        ..METRIC
    },
];

/// Spread over the bounds.
#[inline(always)]
fn value(turn: u64) -> f64 {
    (black_box(turn) % 1_000) as f64 / 1_000.0
}

const REGIONS: [&str; 4] = ["eu", "us", "asia", "africa"];

#[inline(always)]
fn words(turn: u64) -> (&'static str, &'static str) {
    (REGIONS[turn as usize % 4], if turn.is_multiple_of(2) { "true" } else { "false" })
}

#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
    Asia,
    Africa,
}

#[derive(redspan::Labels)]
struct Placed {
    region: Region,
    express: bool,
}

#[inline(always)]
fn placed(turn: u64) -> Placed {
    const ALL: [Region; 4] = [Region::Eu, Region::Us, Region::Asia, Region::Africa];
    Placed { region: ALL[turn as usize % 4], express: turn.is_multiple_of(2) }
}

#[derive(Metrics)]
#[metrics(prefix = "shop")]
struct Shop {
    hot: Counter,
    orders: Counter<Placed>,
    #[metric(buckets = [
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
        1, 2.5, 5, 10
    ])]
    wait: Histogram,
    #[metric(exponential)]
    spread: Histogram,
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::register().expect("the names are free"));

fn redspan_running(burst: fn(u64)) -> Running {
    LazyLock::force(&SHOP);
    Running::without_spans(burst)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerPlaced {
    region: &'static str,
    express: &'static str,
}

#[inline(always)]
fn peer_placed(turn: u64) -> PeerPlaced {
    let (region, express) = words(turn);
    PeerPlaced { region, express }
}

struct Peer {
    counter: prometheus_client::metrics::counter::Counter,
    orders: Family<PeerPlaced, prometheus_client::metrics::counter::Counter>,
    wait: prometheus_client::metrics::histogram::Histogram,
}

static PEER: LazyLock<Peer> = LazyLock::new(|| Peer {
    counter: Default::default(),
    orders: Default::default(),
    wait: prometheus_client::metrics::histogram::Histogram::new(BOUNDS),
});

struct Macros {
    counter: metrics::Counter,
    wait: metrics::Histogram,
}

static MACROS: LazyLock<Macros> = LazyLock::new(|| Macros {
    counter: metrics::counter!("hot"),
    wait: metrics::histogram!("wait"),
});

static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();

pub(super) fn exporter_running(burst: fn(u64)) -> Running {
    EXPORTER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&BOUNDS).expect("bounds");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("the first one");
        handle
    });
    LazyLock::force(&MACROS);
    Running::new(burst, || EXPORTER.get().into_iter().for_each(PrometheusHandle::run_upkeep))
}

struct Otel {
    counter: BoundCounter<u64>,
    orders: opentelemetry::metrics::Counter<u64>,
    wait: BoundHistogram<f64>,
    _provider: SdkMeterProvider,
}

static OTEL: LazyLock<Otel> = LazyLock::new(|| {
    let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
    let meter = provider.meter("bench");
    let labels = [KeyValue::new("region", "eu"), KeyValue::new("express", "true")];
    let wait = meter.f64_histogram("wait").with_boundaries(BOUNDS.to_vec()).build();
    Otel {
        counter: meter.u64_counter("hot").build().bind(&labels),
        orders: meter.u64_counter("orders").build(),
        wait: wait.bind(&labels),
        _provider: provider,
    }
});

fn otel_running(burst: fn(u64)) -> Running {
    LazyLock::force(&OTEL);
    Running::without_spans(burst)
}
