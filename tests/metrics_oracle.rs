//! metrics-exporter-prometheus as an oracle: the same samples in, the same numbers out.

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::collections::BTreeMap;

const METADATA: Metadata<'static> = Metadata::new("oracle", Level::INFO, None);

/// Knuth's MMIX generator: the same samples in each run, without a dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Spread evenly over sixteen orders of magnitude, as durations and sizes are.
    fn magnitude(&mut self) -> f64 {
        10f64.powf(self.below(1_600) as f64 / 100.0 - 6.0)
    }
}

/// Samples by name and labels; `le` in a form that both formats share.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels: Vec<String> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| match label.strip_prefix("le=\"") {
                Some(le) => format!("le={:?}", le.trim_end_matches('"').parse::<f64>().unwrap()),
                None => label.to_owned(),
            })
            .collect();
        labels.sort();
        let before = samples.insert(format!("{name}{labels:?}"), value.parse().expect(line));
        assert!(before.is_none(), "{line} is there twice");
    }
    samples
}

/// The default bounds, read off our own page.
fn bounds(page: &str) -> Vec<f64> {
    let mut bounds: Vec<f64> = samples(page)
        .keys()
        .filter_map(|series| series.split_once("le=")?.1.split('"').next()?.parse().ok())
        .filter(|bound: &f64| bound.is_finite())
        .collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds
}

#[test]
fn the_same_samples_give_the_same_numbers() {
    let ours = redspan::recorder();
    ours.register_histogram(&Key::from_name("oracle.bounds"), &METADATA).record(1.0);
    let bounds = bounds(&ours.render_prometheus());
    assert!(bounds.len() > 20, "{bounds:?}");
    let theirs = PrometheusBuilder::new().set_buckets(&bounds).unwrap().build_recorder();
    let handle = theirs.handle();

    let mut random = Random(42);
    for _ in 0..1_000_000 {
        let region = Label::new("region", ["eu", "us", "asia"][random.below(3) as usize]);
        let shard = Label::new("shard", random.below(20).to_string());
        let name = |kind: &str| format!("oracle.{kind}.{}", shard.value().len());
        let key = |kind| Key::from_parts(name(kind), vec![region.clone(), shard.clone()]);
        let recorders: [&dyn Recorder; 2] = [&ours, &theirs];
        match random.below(4) {
            0 => {
                let step = random.below(100);
                // Each a `_total`: the oracle shows counters as they are named, and adds no suffix.
                let labels = vec![region.clone(), shard.clone()];
                let key = Key::from_parts(name("counter") + "_total", labels);
                for recorder in recorders {
                    let counter = recorder.register_counter(&key, &METADATA);
                    if step == 0 { counter.absolute(500) } else { counter.increment(step) }
                }
            }
            1 => {
                let (value, what) = (random.below(1_000) as f64 / 8.0, random.below(3));
                for recorder in recorders {
                    let gauge = recorder.register_gauge(&key("gauge"), &METADATA);
                    match what {
                        0 => gauge.set(value),
                        1 => gauge.increment(value),
                        _ => gauge.decrement(value),
                    }
                }
            }
            _ => {
                // Some exactly on a bound.
                let value = match random.below(10) {
                    0 => bounds[random.below(bounds.len() as u64) as usize],
                    _ => random.magnitude(),
                };
                for recorder in recorders {
                    recorder.register_histogram(&key("histogram"), &METADATA).record(value);
                }
            }
        }
    }

    let theirs = samples(&handle.render());
    let mut ours = samples(&ours.render_prometheus());
    ours.retain(|series, _| series.starts_with("oracle_") && !series.contains("oracle_bounds"));
    assert!(ours.len() > 1_000);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (series, value) in ours {
        let expected = theirs[&series];
        // They add up samples in another order: sums differ in the last digits.
        let allowed = if series.contains("_sum") { expected.abs() * 1e-9 } else { 0.0 };
        assert!((value - expected).abs() <= allowed, "{series}: {value}, not {expected}");
    }
}

/// A strict reader of the label that `start` ends before, written from the format's definition.
fn value_after(page: &str, start: &str) -> String {
    let line = page.split('\n').find_map(|line| line.strip_prefix(start)).expect(start);
    let (mut value, mut chars) = (String::new(), line.chars());
    loop {
        match chars.next().expect("the value is closed") {
            '"' => return value,
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("an escape that the format does not have: {other:?}"),
            }),
            c => value.push(c),
        }
    }
}

#[test]
fn any_label_value_comes_back_as_it_was() {
    let ours = redspan::recorder();
    let mut random = Random(7);
    let special = ['"', '\\', '\n', '{', '}', ',', '=', ' ', '#', '\r', '\t', '\u{1}', 'n'];
    let values: Vec<String> = (0..1_500)
        .map(|_| {
            // Not empty: an empty label is no label. No NUL: see below.
            (0..=random.below(12))
                .map(|_| match random.below(2) {
                    0 => special[random.below(special.len() as u64) as usize],
                    _ => char::from_u32(random.below(0x11_0000) as u32)
                        .filter(|&c| c != '\0')
                        .unwrap_or('"'),
                })
                .collect()
        })
        .collect();
    for (id, value) in values.iter().enumerate() {
        let labels = [("id", id.to_string()), ("label", value.clone())];
        ours.register_gauge(&Key::from_parts("any_value", &labels), &METADATA).set(1.0);
    }
    for page in [ours.render_prometheus(), ours.render_openmetrics()] {
        for (id, value) in values.iter().enumerate() {
            let start = format!("any_value{{id=\"{id}\",label=\"");
            assert_eq!(value_after(&page, &start), *value);
        }
    }
}

#[test]
fn a_nul_does_not_end_the_page_for_prometheus() {
    let ours = redspan::recorder();
    let key = Key::from_parts("with_nul", &[("label", "a\0b")]);
    ours.register_gauge(&key, &METADATA).set(1.0);
    let page = ours.render_openmetrics();
    assert_eq!(value_after(&page, "with_nul{label=\""), "a\u{fffd}b");
}

/// The budget of the design: `cargo test --release --test metrics_oracle -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: needs a release build and a quiet machine"]
fn ten_thousand_histograms_are_written_in_twenty_milliseconds() {
    let ours = redspan::recorder();
    ours.register_histogram(&Key::from_name("speed.bounds"), &METADATA).record(1.0);
    let bounds = bounds(&ours.render_prometheus());
    let theirs = PrometheusBuilder::new().set_buckets(&bounds).unwrap().build_recorder();
    let mut random = Random(1);
    for name in 0..10 {
        for route in 0..1_000 {
            let labels = [("route", format!("/api/{route}")), ("method", "GET".to_owned())];
            let key = Key::from_parts(format!("speed_{name}_seconds"), &labels);
            for _ in 0..5 {
                let value = random.magnitude();
                ours.register_histogram(&key, &METADATA).record(value);
                theirs.register_histogram(&key, &METADATA).record(value);
            }
        }
    }
    let handle = theirs.handle();
    let time = |what: &str, render: &dyn Fn() -> String| {
        let mut times: Vec<_> = (0..15)
            .map(|_| {
                let start = std::time::Instant::now();
                let page = std::hint::black_box(render());
                (start.elapsed(), page.len())
            })
            .collect();
        times.sort();
        let ((best, bytes), (median, _)) = (times[0], times[7]);
        println!("{what}: best {best:?}, median {median:?}, {bytes} bytes");
        median
    };
    let open = time("redspan, OpenMetrics", &|| ours.render_openmetrics());
    let text = time("redspan, text", &|| ours.render_prometheus());
    let oracle = time("metrics-exporter-prometheus, text", &|| handle.render());
    assert!(open.max(text) * 5 < oracle);
    assert!(open.as_millis() <= 20);
}
