//! A page of ten thousand histograms: redspan's with an exemplar in each, and that of
//! metrics-exporter-prometheus, which has none. Both have the same series and bounds and were given the same
//! values since the page before: metrics-exporter-prometheus keeps those until it is read, and sorts them into
//! its buckets then. Each is shown as a text and written piece by piece to nobody.

use crate::discard::Discard;
use crate::measure::thread_cpu_ns;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use redspan::instrumented;
use std::hint::black_box;
use std::io;
use std::time::Duration;

const METRICS: usize = 10;
const SERIES: usize = 1_000;
/// Values between two pages, in each series: little is going on, and much.
const VALUES: [usize; 2] = [20, 200];
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

fn fill(histograms: &[metrics::Histogram], values: usize) {
    for (at, histogram) in histograms.iter().enumerate() {
        for value in 0..values {
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
struct Pages {
    took: Vec<f64>,
    size: usize,
}

impl Pages {
    fn of(fill: impl Fn(), render: impl Fn() -> usize) -> Self {
        let mut size = 0;
        let took = (0..PAGES).map(|_| {
            fill();
            let before = thread_cpu_ns();
            size = render();
            (thread_cpu_ns() - before) as f64 / 1e6
        });
        let mut took: Vec<f64> = took.collect();
        took.sort_by(f64::total_cmp);
        Pages { took, size }
    }

    fn median(&self) -> f64 {
        self.took[PAGES / 2]
    }
}

/// A sink that counts.
struct Nobody(usize);

impl io::Write for Nobody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += black_box(bytes).len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(write: impl FnOnce(&mut Nobody) -> io::Result<()>) -> usize {
    let mut sink = Nobody(0);
    write(&mut sink).expect("it takes everything");
    sink.0
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
    println!(
        "| {} histograms | values between | ms a page, median | ms, least | page |",
        METRICS * SERIES
    );
    println!("|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for values in VALUES {
        let (own, others) = (|| fill(&own, values), || fill(&others, values));
        let redspan = redspan::recorder();
        let text = [
            Pages::of(own, || black_box(redspan.render_openmetrics()).len()),
            Pages::of(others, || black_box(handle.render()).len()),
        ];
        let pieces = [
            Pages::of(own, || written(|sink| redspan.write_openmetrics(sink))),
            Pages::of(others, || written(|sink| handle.render_to_write(sink))),
        ];
        for (way, pages) in [("a text", &text), ("in pieces", &pieces)] {
            let names = ["redspan, with exemplars", "metrics-exporter-prometheus"];
            for (name, pages) in names.iter().zip(pages) {
                println!(
                    "| {name}, {way} | {values} | {:.1} | {:.1} | {} KiB |",
                    pages.median(),
                    pages.took[0],
                    pages.size / 1024
                );
            }
            let ratio = pages[0].median() / pages[1].median();
            ratios.push(format!("{ratio:.3} ({way}, {values} values)"));
        }
    }
    println!("\nratios, asked 0.100: {}", ratios.join(", "));
    Ok(())
}
