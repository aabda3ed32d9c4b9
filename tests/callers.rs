//! Who called, on request: `caller_function` and `caller_module` on the counter of calls, and nowhere
//! else. Each test runs in a process of its own: what is on stays on.

use redspan::context::{self, Follow};
use redspan::export::{OtlpMetrics, OtlpSettings, Signal};
use redspan::testing::{self, Seen};
use redspan::{instrumented, measured, metrics::label_callers, sample};
use redspan_tests::counting::{self, Counting};
use redspan_tests::prometheus::Prometheus;
use redspan_tests::{Receiver, page, process};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONG: Duration = Duration::from_secs(60);

const CALLS: &str = "function_calls_total";

fn alone(test: &str, body: impl FnOnce()) {
    process::alone(test, &[], body);
}

// ---------------------------------------------------------------------------------------------
// Who calls whom.

#[instrumented]
fn leaf() {}

#[instrumented]
fn other_leaf() -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)
}

/// Not annotated: nobody to a leaf below it.
fn plain() {
    leaf();
}

#[instrumented]
fn above_plain() {
    plain();
}

#[instrumented(span = false)]
fn without_span() {
    leaf();
}

#[instrumented(metrics = false)]
fn without_metrics() {
    leaf();
}

#[instrumented(level = "trace")]
fn too_detailed() {
    leaf();
}

#[redspan::compat::instrument]
fn as_tracing_has_it() {
    leaf();
}

#[instrumented]
fn twice() {
    leaf();
    let _ = other_leaf();
    leaf();
}

#[instrumented]
fn countdown(n: u32) {
    if n > 0 {
        countdown(n - 1);
    } else {
        leaf();
    }
}

#[instrumented]
fn breaks() {
    resume_unwind(Box::new(()));
}

#[instrumented]
fn catches() {
    let _ = catch_unwind(breaks);
    leaf();
}

struct Payments;

#[instrumented]
impl Payments {
    fn charge(&self) {
        leaf();
    }
}

#[instrumented]
fn charges() {
    Payments.charge();
}

/// Ready at the third poll.
#[derive(Default)]
struct Twice(u32);

impl Future for Twice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 += 1;
        if self.0 > 2 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[instrumented]
async fn waits() {
    leaf();
    Twice::default().await;
    leaf();
    inner_waits().await;
    leaf();
}

#[instrumented]
async fn inner_waits() {
    Twice::default().await;
    let _ = other_leaf();
}

#[instrumented]
async fn also_waits() {
    Twice::default().await;
    leaf();
}

#[instrumented]
async fn never() {
    leaf_later().await;
    std::future::pending::<()>().await;
}

#[instrumented]
async fn leaf_later() {}

struct LeafAtTheEnd;

impl Drop for LeafAtTheEnd {
    fn drop(&mut self) {
        leaf();
    }
}

#[instrumented]
async fn drops_late() {
    let _held = LeafAtTheEnd;
    std::future::pending::<()>().await;
}

#[instrumented]
fn spawns() {
    thread::spawn(leaf).join().unwrap();
    thread::spawn(context::carry(leaf)).join().unwrap();
    let detached = context::capture().detach();
    thread::spawn(move || detached.run(leaf_detached)).join().unwrap();
    let mut carried = pin!(leaf_later().in_current_context());
    let there = thread::scope(|scope| scope.spawn(move || poll(carried.as_mut())).join().unwrap());
    assert!(there.is_ready());
}

#[instrumented]
fn leaf_detached() {}

#[instrumented(labels(big = n > 9, kind = |result: &u32| *result > 99))]
fn labelled(n: u32) -> u32 {
    n * 10
}

#[instrumented]
fn labels() {
    for n in [1, 10, 11] {
        labelled(n);
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn finish<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    loop {
        if let Poll::Ready(value) = poll(future.as_mut()) {
            return value;
        }
    }
}

/// Everything above, and what comes of it: callee, caller, number of calls.
fn all_kinds() {
    leaf();
    above_plain();
    without_span();
    without_metrics();
    too_detailed();
    as_tracing_has_it();
    twice();
    countdown(3);
    catches();
    charges();
    measured!("block", {
        leaf();
    });
    // Two on one thread, in turns, one of them on two.
    let (mut one, mut other) = (Box::pin(waits()), pin!(also_waits()));
    assert!(poll(one.as_mut()).is_pending());
    assert!(poll(other.as_mut()).is_pending());
    let mut one = thread::scope(|scope| {
        let there = scope.spawn(move || {
            assert!(poll(one.as_mut()).is_pending());
            leaf();
            one
        });
        there.join().unwrap()
    });
    finish(other);
    finish(one.as_mut());
    for _ in 0..2 {
        let mut never = Box::pin(never());
        assert!(poll(never.as_mut()).is_pending());
    }
    let mut late = Box::pin(drops_late());
    assert!(poll(late.as_mut()).is_pending());
    drop(late);
    spawns();
    labels();
    leaf();
}

const EXPECTED: &[(&str, &str, u64)] = &[
    ("Payments::charge", "charges", 1),
    ("breaks", "catches", 1),
    ("countdown", "countdown", 3),
    ("inner_waits", "waits", 1),
    ("labelled", "labels", 3),
    ("leaf", "Payments::charge", 1),
    ("leaf", "above_plain", 1),
    ("leaf", "also_waits", 1),
    ("leaf", "as_tracing_has_it", 1),
    ("leaf", "block", 1),
    ("leaf", "catches", 1),
    ("leaf", "countdown", 1),
    ("leaf", "drops_late", 1),
    ("leaf", "spawns", 1),
    ("leaf", "too_detailed", 1),
    ("leaf", "twice", 2),
    ("leaf", "waits", 3),
    ("leaf", "without_metrics", 1),
    ("leaf", "without_span", 1),
    ("leaf_later", "never", 2),
    ("leaf_later", "spawns", 1),
    ("other_leaf", "inner_waits", 1),
    ("other_leaf", "twice", 1),
];

/// The label `name` of a series as it is written.
fn label<'a>(series: &'a str, name: &str) -> &'a str {
    let start = series.find(&format!("{name}=\"")).filter(|at| {
        // Not the end of a longer name.
        series[..*at].ends_with(['{', ','])
    });
    let start = start.or_else(|| series.find(&format!(",{name}=\"")).map(|at| at + 1));
    let value = start.map(|at| &series[at + name.len() + 2..]);
    value.and_then(|value| value.split('"').next()).unwrap_or_default()
}

/// Calls by callee and caller, of series as they are written.
fn by_caller(series: impl IntoIterator<Item = String>) -> BTreeMap<(String, String), u64> {
    let mut calls = BTreeMap::new();
    for line in series {
        if !line.starts_with(CALLS) {
            assert!(!line.contains("caller_"), "not on the counter: {line}");
            continue;
        }
        let (series, value) = line.split_once("} ").unwrap();
        let value: f64 = value.split(' ').next().unwrap().parse().unwrap();
        let [function, caller, module] =
            ["function", "caller_function", "caller_module"].map(|name| label(series, name));
        assert_eq!(module.is_empty(), caller.is_empty(), "{line}");
        assert!(caller.is_empty() || module == "callers", "{line}");
        *calls.entry((function.to_owned(), caller.to_owned())).or_default() += value as u64;
    }
    calls.retain(|_, calls| *calls > 0);
    calls
}

fn check(mut calls: BTreeMap<(String, String), u64>, carried_apart: bool) {
    // What is plainly spawned runs outside of a scope; otherwise nobody called it.
    let at_the_top = calls.remove(&(String::from("leaf"), String::new()));
    assert_eq!(at_the_top, Some(if carried_apart { 2 } else { 4 }));
    calls.retain(|(_, caller), _| !caller.is_empty());
    let expected = EXPECTED.iter().map(|(function, caller, calls)| {
        ((String::from(*function), String::from(*caller)), *calls)
    });
    assert_eq!(calls, expected.collect());
}

/// What is told apart by caller adds up to what is not.
fn conserved(seen: &Seen) {
    for site in redspan::catalog().filter(|site| site.has_metrics()) {
        let labels = [("function", site.function()), ("module", site.module())];
        let (calls, all) = (seen.calls(site.function()), seen.counter(CALLS, &labels));
        let durations = seen.histogram("function_calls_duration_seconds", &labels);
        let in_flight = seen.gauge("function_calls_concurrent", &labels);
        if calls.started == 0 {
            continue;
        }
        assert_eq!(calls.started, calls.ok + calls.error + calls.panic + calls.cancelled);
        assert_eq!(all, Some(calls.started), "{site:?}");
        assert_eq!(durations.map(|it| it.count), Some(calls.started), "{site:?}");
        assert_eq!(in_flight, Some(0.0), "{site:?}");
    }
}

#[test]
fn the_nearest_annotated_call_is_the_caller_whatever_is_recorded() {
    alone("the_nearest_annotated_call_is_the_caller_whatever_is_recorded", || {
        label_callers();
        for sampler in [1.0, 0.0] {
            let ratio = sample::parent_based(sample::trace_id_ratio(sampler));
            let ((), seen) = testing::sampled_by(ratio).scope(all_kinds);
            assert_eq!(seen.spans().is_empty(), sampler == 0.0);
            check(by_caller(seen.series()), true);
            conserved(&seen);
            // The labels of one's own, and what an error says, are there as well.
            let own = [("caller_function", "labels"), ("big", "true"), ("kind", "true")];
            assert_eq!(seen.counter(CALLS, &own), Some(2));
            let error = [("caller_function", "twice"), ("error_type", "core::fmt::Error")];
            assert_eq!(seen.counter(CALLS, &error), Some(1));
            let exemplars = seen.exemplars(CALLS, &[("caller_function", "twice")]);
            assert_eq!(exemplars.is_empty(), sampler == 0.0);
        }
    });
}

#[test]
fn nobody_says_who_called_without_being_asked() {
    alone("nobody_says_who_called_without_being_asked", || {
        let ((), seen) = testing::scope(all_kinds);
        assert!(seen.series().iter().all(|series| !series.contains("caller_")));
        conserved(&seen);
    });
}

#[test]
fn calls_that_began_before_are_counted_without_a_caller() {
    alone("calls_that_began_before_are_counted_without_a_caller", || {
        #[instrumented]
        fn asks() {
            label_callers();
            leaf();
        }
        let ((), seen) = testing::scope(|| {
            asks();
            above_plain();
        });
        let callers = by_caller(seen.series());
        let leaf = |caller: &str| callers.get(&(String::from("leaf"), String::from(caller)));
        assert_eq!([leaf(""), leaf("above_plain")], [Some(&1), Some(&1)]);
        conserved(&seen);
    });
}

macro_rules! many {
    ($($name:ident)*) => {
        $(#[instrumented] fn $name() { popular(); })*
        const MANY: &[fn()] = &[$($name),*];
    };
}

#[instrumented]
fn popular() {}

many! {
    a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9
    d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9
    g0 g1 g2 g3 g4 g5 g6 g7 g8 g9
}

#[test]
fn a_function_that_very_many_call_gives_up_the_last_callers_and_says_so_once() {
    alone("a_function_that_very_many_call_gives_up_the_last_callers_and_says_so_once", || {
        label_callers();
        let ((), seen) = testing::scope(|| {
            for call in MANY.iter().chain(MANY) {
                call();
            }
        });
        let callers =
            by_caller(seen.series().into_iter().filter(|it| !it.contains("caller_module=\"_")));
        let of_popular = callers.iter().filter(|((function, _), _)| function == "popular");
        assert_eq!(of_popular.map(|(_, calls)| *calls).collect::<Vec<_>>(), [2; 64]);
        let over = [("caller_function", "__overflow__"), ("caller_module", "__overflow__")];
        assert_eq!(seen.counter(CALLS, &over), Some(2 * (MANY.len() as u64 - 64)));
        conserved(&seen);
        let warnings = seen.logs().into_iter().filter(|it| it.message.contains("too many"));
        let warnings: Vec<_> = warnings.map(|it| it.message).collect();
        assert_eq!(
            warnings,
            [
                "too many functions call callers::popular: its further callers are shown as __overflow__"
            ]
        );
    });
}

#[test]
fn who_called_is_known_without_an_allocation_after_the_first_call() {
    alone("who_called_is_known_without_an_allocation_after_the_first_call", || {
        label_callers();
        let calls = || {
            twice();
            without_span();
            countdown(3);
        };
        calls();
        let before = counting::allocations();
        for _ in 0..100 {
            calls();
        }
        assert_eq!(counting::allocations() - before, 0);
    });
}

#[test]
fn threads_at_once_add_up_while_they_are_read() {
    alone("threads_at_once_add_up_while_they_are_read", || {
        label_callers();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..3_000 {
                            twice();
                            above_plain();
                            let _ = catch_unwind(AssertUnwindSafe(catches));
                        }
                    })
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                // In one page the counter says what the histogram does.
                let page = redspan::recorder().render_openmetrics();
                let of_leaf = |name: &str| {
                    let lines = page
                        .lines()
                        .filter(|line| line.starts_with(name) && label(line, "function") == "leaf");
                    let values = lines.map(|line| {
                        let value = line.split_once("} ").unwrap().1;
                        value.split(' ').next().unwrap().parse::<f64>().unwrap()
                    });
                    values.sum::<f64>()
                };
                let counted = of_leaf("function_calls_total{");
                assert_eq!(counted, of_leaf("function_calls_duration_seconds_count{"));
            }
        });
        let page = redspan::recorder().render_openmetrics();
        let lines =
            page.lines().filter(|line| line.starts_with("function_calls_")).map(String::from);
        let lines = lines.filter(|line| line.contains(" ") && !line.contains("# "));
        let callers = by_caller(lines);
        let leaf = |caller: &str| callers[&(String::from("leaf"), String::from(caller))];
        assert_eq!([leaf("twice"), leaf("above_plain"), leaf("catches")], [24_000, 12_000, 12_000]);
        let red = redspan::catalog().find(|site| site.function() == "leaf").unwrap().red();
        assert_eq!((red.finished(), red.in_flight()), (48_000, 0));
    });
}

// ---------------------------------------------------------------------------------------------
// On the ways out.

#[test]
fn prometheus_and_an_otlp_receiver_are_told_who_called() {
    alone("prometheus_and_an_otlp_receiver_are_told_who_called", || {
        let receiver = Receiver::start();
        let metrics =
            OtlpMetrics::new(OtlpSettings::http_for(Signal::Metrics, &receiver.http())).unwrap();
        let telemetry = redspan::builder()
            .service_name("shop")
            .label_callers(true)
            .metrics_to(metrics)
            .metrics_at(([127, 0, 0, 1], 0).into())
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        all_kinds();
        let address = telemetry.metrics_address().unwrap();
        let text = page::get(address, "/metrics", LONG).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("function_calls_"));
        check(by_caller(lines.map(String::from)), false);

        assert!(telemetry.flush(LONG));
        let points = receiver.take_points();
        let of_otlp = points.iter().filter(|point| point.name == "function.calls");
        let mut calls = BTreeMap::new();
        for point in of_otlp {
            let [function, caller] = ["function", "caller_function"].map(|it| point.attribute(it));
            *calls.entry((function, caller)).or_default() += point.value as u64;
        }
        calls.retain(|_, calls| *calls > 0);
        check(calls, false);
        let others = points.iter().filter(|point| point.name != "function.calls");
        assert!(others.into_iter().all(|point| point.attribute("caller_function").is_empty()));

        if !Prometheus::is_there() {
            return;
        }
        let prometheus = Prometheus::start(address, Duration::from_millis(200));
        prometheus.until("scraping", || prometheus.scrapes() >= 2.0);
        prometheus.has_no_complaint();
        let by = "sum by (function, caller_function) (function_calls_total) > 0";
        let calls = prometheus.query(by, &["function", "caller_function"]);
        let calls = calls.into_iter().map(|(labels, calls)| {
            let [function, caller] = <[String; 2]>::try_from(labels).unwrap();
            ((function, caller), calls as u64)
        });
        check(calls.collect(), false);
    });
}

#[test]
fn a_recorder_of_the_applications_own_is_told_who_called() {
    alone("a_recorder_of_the_applications_own_is_told_who_called", || {
        label_callers();
        // Before there is one, and after.
        all_kinds();
        let builder = metrics_exporter_prometheus::PrometheusBuilder::new();
        let recorder = builder.install_recorder().unwrap();
        all_kinds();
        let text = recorder.render();
        let lines = text.lines().filter(|line| line.starts_with("function_calls_"));
        let mut calls = by_caller(lines.map(String::from));
        assert!(calls.values().all(|calls| calls.is_multiple_of(2)), "{calls:?}");
        calls.values_mut().for_each(|calls| *calls /= 2);
        check(calls, false);
        let at = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            let values = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
            values.sum::<f64>()
        };
        assert_eq!(at("function_calls_total{"), at("function_calls_duration_seconds_count{"));
        assert_eq!(at("function_calls_concurrent{"), 0.0);
    });
}
