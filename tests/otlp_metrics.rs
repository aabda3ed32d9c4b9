//! A process under load sends its metrics to real OTLP receivers, as totals and as differences, with an
//! outage in the middle: both come to what `/metrics` says, and every exemplar names a span that was
//! received.
//!
//! `REDSPAN_LONG=1` makes the load last a minute.

#[path = "otlp_metrics/service.rs"]
mod service;

use redspan::export::{OtlpMetrics, OtlpSettings, OtlpSink, Signal};
use redspan::{Outcome, sample, tail};
use redspan_tests::{Behaviour, Point, Receiver, Span, page, process};
use service::ENDS;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

fn outcome(span: &Span) -> &'static str {
    let said = |outcome| span.attributes.get("redspan.outcome").is_some_and(|it| *it == outcome);
    match span.status {
        _ if said("panic") => "panic",
        _ if said("cancelled") => "cancelled",
        "error" => "error",
        _ => "ok",
    }
}

/// Samples of a page, by name and labels as they stand there.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.split(" # ").next().unwrap_or_default());
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// What a series of points comes to: the last total, or the differences added up.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    value: f64,
    count: u64,
    sum: f64,
    buckets: Vec<u64>,
}

fn totals(points: &[Point]) -> BTreeMap<String, Sum> {
    let mut totals: BTreeMap<String, Sum> = BTreeMap::new();
    let mut ends: HashMap<String, (u64, u64)> = HashMap::new();
    for point in points.iter().filter(|point| !point.name.starts_with("otel_sdk")) {
        let series = point.series();
        assert!(point.start <= point.time, "{point:?}");
        if let Some((start, end)) = ends.insert(series.clone(), (point.start, point.time)) {
            assert!(point.time > end, "time goes on: {point:?}");
            match point.delta {
                true => assert!(point.start >= end, "no time is told twice: {point:?}"),
                false => assert_eq!(point.start, start, "a total has one beginning: {point:?}"),
            }
        }
        let total = totals.entry(series).or_default();
        if !point.delta {
            assert!(!point.monotonic || point.value >= total.value, "{point:?} after {total:?}");
            assert!(point.count >= total.count, "{point:?} after {total:?}");
            *total = Sum::default();
        }
        assert_eq!(point.buckets.iter().sum::<u64>(), point.count, "{point:?}");
        total.value += point.value;
        total.count += point.count;
        total.sum += point.sum;
        total.buckets.resize(point.buckets.len().max(total.buckets.len()), 0);
        total.buckets.iter_mut().zip(&point.buckets).for_each(|(all, more)| *all += more);
    }
    totals
}

fn run(policy: Option<tail::TailPolicy>) {
    let mut receiver = Receiver::start();
    let mut deltas = Receiver::start();
    let totals_at = OtlpSettings::http_for(Signal::Metrics, &receiver.http());
    let mut builder = redspan::builder()
        .service_name("shop")
        .spans_to(OtlpSink::new(OtlpSettings::http(&receiver.http())).unwrap())
        .metrics_to(OtlpMetrics::new(totals_at).unwrap())
        .metrics_to(OtlpMetrics::new(OtlpSettings::grpc(&deltas.grpc())).unwrap().delta())
        .metrics_every(Duration::from_millis(100))
        .metrics_at(([127, 0, 0, 1], 0).into())
        .exponential_buckets("basket_bytes")
        .logs(redspan::log::layer().with_writer(std::io::sink()));
    builder = match policy {
        Some(policy) => builder.tail(policy),
        None => builder.sampler(sample::parent_based(sample::trace_id_ratio(0.1))),
    };
    let telemetry = builder.install().unwrap();

    let third = match std::env::var("REDSPAN_LONG").is_ok_and(|it| it == "1") {
        true => Duration::from_secs(20),
        false => Duration::from_secs(4),
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(|| service::load(done));
        thread::sleep(third);
        // First they refuse, so that no answer gets lost; then they are gone; then they are back.
        [&receiver, &deltas].into_iter().for_each(|it| it.behave(Behaviour::Refuse(503)));
        thread::sleep(Duration::from_millis(700));
        receiver.stop();
        deltas.stop();
        thread::sleep(Duration::from_millis(1_500));
        [&receiver, &deltas].into_iter().for_each(|it| it.behave(Behaviour::Take));
        receiver.restart();
        deltas.restart();
        thread::sleep(2 * third);
        done.store(true, Relaxed);
    });
    assert!(telemetry.flush(LONG));
    // What was lost in a round that an outage ended is told by the next.
    assert!(telemetry.flush(LONG));
    let page = page::get(telemetry.metrics_address().unwrap(), "/metrics", LONG).unwrap();
    let shown = samples(&page);

    let (cumulative, differences) = (receiver.take_points(), deltas.take_points());
    let said = totals(&cumulative);
    let added = totals(&differences);
    assert!(cumulative.iter().all(|point| !point.delta));
    assert!(differences.iter().any(|point| point.delta));
    assert!(cumulative[0].resource["service.name"] == "shop");

    // Totals and differences agree.
    // What redspan says of its own exports differs between the two.
    let user = |series: &&String| !series.starts_with("redspan") && !series.starts_with("otel");
    let names = |totals: &BTreeMap<String, Sum>| -> Vec<String> {
        totals.keys().filter(user).cloned().collect()
    };
    assert_eq!(names(&said), names(&added));
    let gauge =
        |series: &str| cumulative.iter().any(|it| it.kind == "gauge" && it.series() == series);
    for (series, total) in &said {
        if gauge(series) || !user(&series) {
            continue;
        }
        let added = &added[series];
        assert_eq!((total.value, total.count), (added.value, added.count), "{series}");
        assert!((total.sum - added.sum).abs() <= total.sum.abs() * 1e-9 + 1e-9, "{series}");
        let exponential = series.starts_with("basket_bytes");
        assert!(exponential || total.buckets == added.buckets, "{series}");
    }

    // Both are what the page says.
    let mut compared = 0;
    for point in &cumulative {
        let Some(total) = said.get(&point.series()) else { continue };
        let same = |name: &str, value: f64| {
            let held = shown.get(name).unwrap_or_else(|| panic!("{name} is not in\n{page}"));
            assert!((held - value).abs() <= value.abs() * 1e-9, "{name}: {held}, {value}");
        };
        let function = point.attribute("function");
        let labels = format!("function=\"{function}\",module=\"{}\"", point.attribute("module"));
        match point.name.as_str() {
            "function.calls" => {
                let (outcome, result) = (point.attribute("outcome"), point.attribute("result"));
                let rest =
                    format!("outcome=\"{outcome}\",result=\"{result}\",service_name=\"shop\"");
                let of_type = match point.attribute("error_type").as_str() {
                    "" => String::new(),
                    error_type => format!("error_type=\"{error_type}\","),
                };
                same(&format!("function_calls_total{{{of_type}{labels},{rest}}}"), total.value);
            }
            "function.calls.duration" => {
                assert_eq!((point.unit.as_str(), point.kind), ("s", "histogram"));
                let name = "function_calls_duration_seconds";
                let labels = format!("{labels},service_name=\"shop\"");
                same(&format!("{name}_count{{{labels}}}"), total.count as f64);
                same(&format!("{name}_sum{{{labels}}}"), total.sum);
                let upto = total.buckets[..3].iter().sum::<u64>() as f64;
                same(&format!("{name}_bucket{{{labels},le=\"0.00025\"}}"), upto);
            }
            "orders_placed" => {
                let shard = point.attribute("shard");
                same(&format!("orders_placed_total{{shard=\"{shard}\"}}"), total.value);
            }
            "basket_bytes" => {
                assert_eq!(point.kind, "exponential");
                let shard = point.attribute("shard");
                same(&format!("basket_bytes_count{{shard=\"{shard}\"}}"), total.count as f64);
            }
            _ => continue,
        }
        compared += 1;
    }
    assert!(compared > 1_000);

    // Every exemplar names a span that was received, and says of it what it says itself.
    let spans = telemetry.spans();
    let received: HashMap<_, _> = receiver
        .take()
        .into_iter()
        .map(|span| ((span.trace_id.clone(), span.span_id.clone()), span))
        .collect();
    let mut traces = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    let mut exemplars = 0;
    for point in cumulative.iter().chain(&differences) {
        for exemplar in &point.exemplars {
            exemplars += 1;
            let ids = (exemplar.trace_id.clone(), exemplar.span_id.clone());
            let span =
                received.get(&ids).unwrap_or_else(|| panic!("dangles: {exemplar:?} {point:?}"));
            traces.insert(exemplar.trace_id.clone());
            match point.name.as_str() {
                "function.calls" => {
                    let shown = (point.attribute("function"), point.attribute("outcome"));
                    assert_eq!(shown, (span.name.clone(), outcome(span).to_owned()));
                    kinds.insert(shown);
                }
                "function.calls.duration" => {
                    assert_eq!(point.attribute("function"), span.name);
                    let duration = (span.end - span.start) as f64 / 1e9;
                    assert!((exemplar.value - duration).abs() < 1e-6, "{exemplar:?}, {duration}");
                }
                "orders_placed" => assert_eq!(span.name, "order"),
                "basket_bytes" => assert_eq!(span.name, "basket"),
                other => panic!("an exemplar of {other}"),
            }
        }
    }
    let sampled: BTreeSet<_> =
        received.values().map(|span| (span.name.clone(), outcome(span).to_owned())).collect();
    assert_eq!(kinds, sampled, "every sampled kind of call has an exemplar");
    let all = ENDS.iter().flat_map(|(name, ends)| {
        ends.iter().map(|end: &Outcome| ((*name).to_owned(), end.as_str().to_owned()))
    });
    assert_eq!(sampled, all.collect());
    println!(
        "{:.0} calls; {} spans received, {spans:?}; {} points of totals, {} of differences, {} series; \
         {exemplars} exemplars of {} traces, all received",
        said.iter()
            .filter(|(series, _)| series.starts_with("function.calls{"))
            .map(|(_, sum)| sum.value)
            .sum::<f64>(),
        received.len(),
        cumulative.len(),
        differences.len(),
        said.len(),
        traces.len()
    );
    assert!(traces.len() >= 1_000, "{}", traces.len());
    drop(telemetry);
}

#[test]
fn a_series_that_was_idle_goes_on_with_a_difference() {
    process::alone("a_series_that_was_idle_goes_on_with_a_difference", &[], || {
        let receiver = Receiver::start();
        let to = OtlpSettings::grpc(&receiver.grpc());
        let idle = Duration::from_millis(40);
        let telemetry = redspan::builder()
            .metrics_to(OtlpMetrics::new(to).unwrap().delta())
            .metrics_every(LONG)
            .forget_idle_series(idle)
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        let visits = metrics::counter!("visits", "user" => "held");
        let wait = metrics::histogram!("wait", "user" => "held");
        for more in [5, 0, 0, 1, 0, 2] {
            visits.increment(more);
            (0..more).for_each(|_| wait.record(0.5));
            assert!(telemetry.flush(LONG));
            thread::sleep(2 * idle);
        }
        let totals = totals(&receiver.take_points());
        let of = |name: &str| totals.iter().find(|(series, _)| series.starts_with(name)).unwrap().1;
        assert_eq!((of("visits").value, of("wait").count, of("wait").sum), (8.0, 8, 4.0));
    });
}

#[test]
fn totals_differences_and_the_page_agree_and_every_exemplar_was_received() {
    let test = "totals_differences_and_the_page_agree_and_every_exemplar_was_received";
    process::alone(test, &[], || run(None));
}

#[test]
fn the_same_holds_under_a_tail_policy() {
    let policy = || tail::policy().slower_than(Duration::from_millis(3)).ratio(0.05);
    process::alone("the_same_holds_under_a_tail_policy", &[], || run(Some(policy())));
}
