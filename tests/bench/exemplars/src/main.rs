//! autometrics with exemplars: a row of the bench's table, started by it.
//!
//! Its exemplars are the fields of the tracing span around the call, so there is one, with the two ids an
//! exemplar of redspan has; nothing exports it. The ids are made up, as cheaply as it goes.

#[path = "../../src/allocator.rs"]
mod allocator;
#[path = "../../src/measure.rs"]
mod measure;
#[path = "../../src/work.rs"]
#[allow(dead_code, reason = "the bench has more calls")]
mod work;

use autometrics::autometrics;
use autometrics::exemplars::tracing::AutometricsExemplarExtractor;
use autometrics::prometheus_exporter;
use measure::Load;
use std::time::Duration;
use tracing::instrument;
use tracing_subscriber::layer::SubscriberExt;
use work::{Declined, repeat, work};

#[autometrics]
#[instrument(skip_all, fields(trace_id = u128::from(order) + 1, span_id = order + 1))]
#[inline(never)]
fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

fn main() {
    prometheus_exporter::init();
    let layer = AutometricsExemplarExtractor::from_fields(&["trace_id", "span_id"]);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).expect("the first one");

    let arguments: Vec<String> = std::env::args().collect();
    let after = |option: &str| {
        let at = arguments.iter().position(|argument| argument == option)?;
        arguments.get(at + 1)?.parse::<f64>().ok()
    };
    let threads = after("--threads").unwrap_or(1.0) as usize;
    let allocations = arguments.iter().any(|argument| argument == "--allocations");
    if allocations {
        allocator::start_counting();
    }
    let load = Load {
        threads,
        duration: Duration::from_secs_f64(after("--seconds").unwrap_or(0.15)),
        calls_a_burst: 50_000,
        burst: |calls| repeat(calls, charge),
        drain: &|| (),
    };
    let line = load.run().line("autometrics+exemplars", threads, 1, allocations);
    println!("{line} spans=0 lost=0");
}
