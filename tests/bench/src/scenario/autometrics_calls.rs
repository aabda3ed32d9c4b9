//! autometrics with its `prometheus-exporter`, which counts with prometheus-client. It keeps no gauge of
//! calls in flight unless it is told to, and its histogram has bounds of its own. Its exemplars are a
//! cargo feature that changes every metric: that row is a program of its own (`exemplars/`).

use super::{Group, ROOT, Running, Scenario};
use crate::work::{Declined, repeat, work};
use autometrics::{autometrics, prometheus_exporter};

const ALONE: Scenario = Scenario { group: Group::NoSpan, red: true, exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "autometrics",
        says: "`#[autometrics]` as it comes: no calls in flight",
        set_up: || set_up(|calls| repeat(calls, charge)),
        ..ALONE
    },
    Scenario {
        name: "autometrics-concurrency",
        says: "`#[autometrics(track_concurrency)]`: calls in flight as well",
        set_up: || set_up(|calls| repeat(calls, charge_and_track)),
        ..ALONE
    },
    Scenario {
        name: "autometrics+exemplars",
        says: "`exemplars-tracing`, which wants a tracing span with the ids as fields: \
               `#[tracing::instrument]` over its layer, nothing exported",
        package: Some("exemplars"),
        set_up: || unreachable!("another program runs it"),
        ..ALONE
    },
];

fn set_up(burst: fn(u64)) -> Running {
    prometheus_exporter::init();
    Running::without_spans(burst)
}

#[autometrics]
#[inline(never)]
fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[autometrics(track_concurrency)]
#[inline(never)]
fn charge_and_track(order: u64) -> Result<u64, Declined> {
    work(order)
}
