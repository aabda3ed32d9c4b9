//! A page of ten thousand histograms: redspan's with an exemplar in each, and that of
//! metrics-exporter-prometheus, which has none.

use crate::discard::Discard;
use crate::measure::thread_cpu_ns;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use redspan::instrumented;
use std::hint::black_box;
use std::time::Duration;

const METRICS: usize = 10;
const SERIES: usize = 1_000;
/// Values between two pages, in each series.
const VALUES: usize = 20;
const PAGES: usize = 7;

/// Those that a histogram of redspan has of which nothing is said.
const BOUNDS: [f64; 29] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
];

static METADATA: Metadata<'static> = Metadata::new("bench", Level::INFO, None);

fn histograms(recorder: &impl Recorder) -> Vec<metrics::Histogram> {
    let keys = (0..METRICS).flat_map(|metric| {
        (0..SERIES).map(move |series| {
            let labels = vec![Label::new("series", series.to_string())];
            Key::from_parts(format!("latency_{metric}"), labels)
        })
    });
    keys.map(|key| recorder.register_histogram(&key, &METADATA)).collect()
}

fn fill(histograms: &[metrics::Histogram]) {
    for (at, histogram) in histograms.iter().enumerate() {
        for value in 0..VALUES {
            histogram.record((at + value * 37) as f64 * 0.001);
        }
    }
}

/// A few at a time: a span takes some exemplars along.
#[instrumented]
fn exemplars(histograms: &[metrics::Histogram]) {
    histograms.iter().for_each(|histogram| histogram.record(0.2));
}

/// CPU milliseconds of each page, in ascending order, and the size of the last.
fn pages(fill: impl Fn(), render: impl Fn() -> String) -> (Vec<f64>, usize) {
    let mut size = 0;
    let took = (0..PAGES).map(|_| {
        fill();
        let before = thread_cpu_ns();
        size = black_box(render()).len();
        (thread_cpu_ns() - before) as f64 / 1e6
    });
    let mut took: Vec<f64> = took.collect();
    took.sort_by(f64::total_cmp);
    (took, size)
}

pub(crate) fn print() -> Result<(), String> {
    let telemetry = redspan::builder().spans_to(Discard).install().map_err(|it| it.to_string())?;
    let own = histograms(&redspan::recorder());
    own.chunks(8).for_each(exemplars);
    if !telemetry.flush(Duration::from_secs(10)) {
        return Err(String::from("the flush took too long"));
    }
    let peer = PrometheusBuilder::new().set_buckets(&BOUNDS).map_err(|it| it.to_string())?;
    let peer = peer.build_recorder();
    let (handle, others) = (peer.handle(), histograms(&peer));
    println!("| {} histograms | ms a page, median | ms, least | page |", METRICS * SERIES);
    println!("|---|---|---|---|");
    let of_redspan = pages(|| fill(&own), || redspan::recorder().render_openmetrics());
    let of_peer = pages(|| fill(&others), || handle.render());
    let all = [("redspan, with exemplars", &of_redspan), ("metrics-exporter-prometheus", &of_peer)];
    for (name, (took, size)) in all {
        println!("| {name} | {:.1} | {:.1} | {} KiB |", took[PAGES / 2], took[0], size / 1024);
    }
    println!("\nratio {:.3}", of_redspan.0[PAGES / 2] / of_peer.0[PAGES / 2]);
    Ok(())
}
