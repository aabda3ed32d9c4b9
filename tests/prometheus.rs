//! A real Prometheus scrapes a process under load: it finds nothing to complain about, counts what
//! the process counts, and every exemplar that it keeps names a span which a real OTLP receiver got.

use opentelemetry::trace::FutureExt;
use redspan::export::{OtlpSettings, OtlpSink};
use redspan::{Outcome, instrumented, sample};
use redspan_tests::prometheus::Prometheus;
use redspan_tests::{Receiver, Span, process};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

// ---------------------------------------------------------------------------------------------
// The service.

static ORDERS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
static BASKETS: AtomicU64 = AtomicU64::new(0);

/// Numbers that are spread evenly, and the same in every run.
fn scattered(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[instrumented]
fn order(n: u64) -> Result<u64, std::num::ParseIntError> {
    let shard = n % 8;
    metrics::counter!("orders_placed", "shard" => shard.to_string()).increment(1);
    ORDERS[shard as usize].fetch_add(1, Relaxed);
    let text = if n.is_multiple_of(7) { "none" } else { "12" };
    spend(Duration::from_nanos(n % 300_000));
    text.parse()
}

#[instrumented]
fn basket(n: u64) -> u64 {
    // From bytes to gigabytes: a bucket for each.
    let bytes = 10_f64.powf((n % 10_000) as f64 / 1_000.0);
    metrics::histogram!("basket_bytes", "shard" => (n % 8).to_string()).record(bytes);
    BASKETS.fetch_add(1, Relaxed);
    n
}

#[instrumented]
fn may_panic(n: u64) -> u64 {
    if n.is_multiple_of(5) {
        // Without the hook's message.
        std::panic::resume_unwind(Box::new(n));
    }
    n
}

#[instrumented]
async fn fetch(n: u64) -> Result<u64, std::num::ParseIntError> {
    tokio::time::sleep(Duration::from_micros(n % 4_000)).await;
    basket(n);
    if n.is_multiple_of(9) {
        return "none".parse();
    }
    Ok(n)
}

#[instrumented]
async fn may_panic_later(n: u64) -> u64 {
    tokio::task::yield_now().await;
    may_panic(n)
}

/// Ends in each of the four ways.
#[instrumented]
async fn anything(n: u64) -> Result<u64, std::num::ParseIntError> {
    match n % 4 {
        0 => Ok(n),
        1 => order(7),
        2 => Ok(may_panic(5)),
        _ => std::future::pending().await,
    }
}

fn spend(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Every function of the service, and how its calls end.
const ENDS: [(&str, &[Outcome]); 6] = {
    use Outcome::{Cancelled, Error, Ok, Panic};
    [
        ("order", &[Ok, Error]),
        ("basket", &[Ok]),
        ("may_panic", &[Ok, Panic]),
        ("fetch", &[Ok, Error]),
        ("may_panic_later", &[Ok, Panic]),
        ("anything", &[Ok, Error, Panic, Cancelled]),
    ]
};

/// About 2,000 calls a second from outside, until `done`.
fn load(done: &AtomicBool) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..).take_while(|_| !done.load(Relaxed)) {
                let n = scattered(n);
                let _ = order(n);
                basket(n);
                let _ = std::panic::catch_unwind(|| may_panic(n));
                thread::sleep(Duration::from_millis(2));
            }
        });
        for n in (1 << 40..).take_while(|_| !done.load(Relaxed)) {
            let n = scattered(n);
            runtime.spawn(fetch(n));
            runtime.spawn(may_panic_later(n));
            runtime.spawn(
                async move {
                    let _ = tokio::time::timeout(Duration::from_millis(3), anything(n)).await;
                }
                .with_current_context(),
            );
            thread::sleep(Duration::from_millis(2));
        }
    });
    // All tasks end within milliseconds.
    while redspan::catalog().any(|site| site.red().in_flight() > 0) {
        thread::sleep(Duration::from_millis(5));
    }
}

// ---------------------------------------------------------------------------------------------

fn outcome(span: &Span) -> &'static str {
    let said = |outcome| span.attributes.get("redspan.outcome").is_some_and(|it| *it == outcome);
    match span.status {
        _ if said("panic") => "panic",
        _ if said("cancelled") => "cancelled",
        "error" => "error",
        _ => "ok",
    }
}

#[instrumented(slo(latency = "1s", target = 99))]
fn promised() {}

#[test]
fn a_rule_finds_the_bucket_that_an_objective_names() {
    process::alone("a_rule_finds_the_bucket_that_an_objective_names", &[], || {
        if !Prometheus::is_there() {
            return;
        }
        let telemetry =
            redspan::builder().metrics_at(([127, 0, 0, 1], 0).into()).install().unwrap();
        promised();
        let address = telemetry.metrics_address().unwrap();
        // As a text, and as protobuf.
        for features in ["exemplar-storage", "native-histograms"] {
            let prometheus = Prometheus::start_with(address, Duration::from_millis(200), features);
            prometheus.until("scraping", || prometheus.scrapes() >= 2.0);
            // As autometrics' rules do.
            let buckets = |label| {
                let metric = "function_calls_duration_seconds_bucket{function=\"promised\"}";
                format!("label_join({metric}, \"same\", \"\", \"{label}\")")
            };
            let rule = format!("{} and {}", buckets("objective_latency_threshold"), buckets("le"));
            let found = prometheus.query(&rule, &["le"]);
            assert_eq!(found.into_values().collect::<Vec<_>>(), [1.0], "{features}");
        }
    });
}

#[test]
fn prometheus_takes_every_scrape_and_each_exemplar_names_a_received_span() {
    if !Prometheus::is_there() {
        return;
    }
    let receiver = Receiver::start();
    let telemetry = redspan::builder()
        .service_name("shop")
        .sampler(sample::parent_based(sample::trace_id_ratio(0.1)))
        .spans_to(OtlpSink::new(OtlpSettings::http(&receiver.http())).unwrap())
        .metrics_at(([127, 0, 0, 1], 0).into())
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .install()
        .unwrap();
    let prometheus =
        Prometheus::start(telemetry.metrics_address().unwrap(), Duration::from_millis(400));
    let scrapes = || prometheus.scrapes();
    // The functions are there at zero: nothing of what follows is lost to a rate.
    prometheus.until("scraping", || scrapes() >= 2.0);
    let calls = "function_calls_total{function!=\"promised\"}";
    let zeros = prometheus.query(calls, &["function", "outcome"]);
    assert_eq!(zeros.len(), ENDS.len() * Outcome::ALL.len(), "{zeros:?}");
    assert!(zeros.values().all(|&calls| calls == 0.0), "{zeros:?}");

    let start = Instant::now();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(|| load(done));
        thread::sleep(Duration::from_secs(20));
        done.store(true, Relaxed);
    });
    let took = start.elapsed();
    assert!(telemetry.flush(LONG));
    let scraped = scrapes();
    // The one that is under way, and one from after the flush.
    prometheus.until("scraping", || scrapes() >= scraped + 3.0);
    let spans = telemetry.spans();

    // It has nothing to complain about.
    prometheus.has_no_complaint();

    // It counts what the process counts.
    let labels = ["function", "outcome"];
    let mut calls = BTreeMap::new();
    let mut finished = BTreeMap::new();
    for site in redspan::catalog() {
        let red = site.red();
        for outcome in Outcome::ALL {
            let labels = vec![site.function().to_owned(), outcome.as_str().to_owned()];
            calls.insert(labels, red.count(outcome) as f64);
        }
        finished.insert(vec![site.function().to_owned()], red.finished() as f64);
    }
    assert_eq!(prometheus.query("function_calls_total", &labels), calls);
    let counts = prometheus.query("function_calls_duration_seconds_count", &["function"]);
    assert_eq!(counts, finished);
    let in_flight = prometheus.query("function_calls_concurrent", &["function"]);
    assert!(in_flight.values().all(|&calls| calls == 0.0), "{in_flight:?}");
    let orders = prometheus.query("orders_placed_total", &["shard"]);
    let own_orders = ORDERS.iter().enumerate();
    let own_orders = own_orders.map(|(n, count)| (vec![n.to_string()], count.load(Relaxed) as f64));
    assert_eq!(orders, own_orders.collect());
    let baskets = BASKETS.load(Relaxed) as f64;
    assert_eq!(prometheus.one("sum(basket_bytes_count)"), Some(baskets));
    let started = prometheus.one("sum(otel_sdk_span_started_total)");
    assert_eq!(started, Some(spans.sampled as f64));
    // Rates: over the whole run, where Prometheus extrapolates by a scrape interval at each end.
    let increases = prometheus.query("increase(function_calls_total[10m])", &labels);
    for (labels, calls) in &calls {
        let increase = increases[labels];
        assert!((increase - calls).abs() <= 0.1 * calls, "{labels:?}: {increase}, {calls}");
    }
    assert_eq!(
        prometheus.one("sum(resets({__name__=~\"function_calls.*_total\"}[10m]))"),
        Some(0.0)
    );

    // Every exemplar names a span that has been received, and says of it what it says itself.
    let received: HashMap<_, _> = receiver
        .take()
        .into_iter()
        .map(|span| ((span.trace_id.clone(), span.span_id.clone()), span))
        .collect();
    assert_eq!(received.len() as u64, spans.exported);
    assert_eq!((spans.dropped(), spans.running), (0, 0), "{spans:?}");
    let exemplars = prometheus.exemplars("{job=\"service\"}");
    for exemplar in &exemplars {
        let span = received.get(&exemplar.ids);
        let span = span.unwrap_or_else(|| panic!("dangles: {exemplar:?}"));
        let label = |name| exemplar.series.get(name).map(String::as_str);
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        match label("__name__").unwrap() {
            "function_calls_total" => {
                assert_eq!(label("function"), Some(span.name.as_str()), "{exemplar:?}");
                assert_eq!(label("outcome"), Some(outcome(span)), "{exemplar:?}");
            }
            "function_calls_duration_seconds_bucket" => {
                assert_eq!(label("function"), Some(span.name.as_str()), "{exemplar:?}");
                let duration = seconds(span.end - span.start);
                assert!((exemplar.value - duration).abs() < 1e-6, "{exemplar:?}, {duration}");
                assert!((exemplar.time - seconds(span.end)).abs() < 2e-3, "{exemplar:?}");
            }
            "orders_placed_total" => assert_eq!(span.name, "order"),
            "basket_bytes_bucket" => assert_eq!(span.name, "basket"),
            other => panic!("an exemplar of {other}"),
        }
        if let Some(bound) = label("le").and_then(|bound| bound.parse::<f64>().ok()) {
            assert!(exemplar.value <= bound, "{exemplar:?}");
        }
    }
    let traces: HashSet<_> = exemplars.iter().map(|exemplar| &exemplar.ids.0).collect();
    let of_calls = exemplars.iter().filter(|it| it.series["__name__"] == "function_calls_total");
    let shown: BTreeSet<_> = of_calls
        .map(|it| (it.series["function"].as_str(), it.series["outcome"].as_str()))
        .collect();
    let sampled: BTreeSet<_> =
        received.values().map(|span| (span.name.as_str(), outcome(span))).collect();
    assert_eq!(shown, sampled, "every sampled kind of call has an exemplar");
    let all = ENDS.iter().flat_map(|(name, ends)| ends.iter().map(|end| (*name, end.as_str())));
    assert_eq!(sampled, all.collect());
    println!(
        "{:.0} calls in {took:.1?}, {spans:?}; {} spans received; {} scrapes; {} exemplars of {} \
         series, {} traces",
        calls.values().sum::<f64>(),
        received.len(),
        scrapes(),
        exemplars.len(),
        exemplars.iter().map(|it| &it.series).collect::<BTreeSet<_>>().len(),
        traces.len()
    );
    assert!(traces.len() >= 1_000, "{}", traces.len());
    drop(telemetry);
}
