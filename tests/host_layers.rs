//! Without `init`, in set-ups that applications have: the same program, once with tracing's attribute and
//! once with redspan's, shows the same spans, lines and traces, and the numbers besides; each in a
//! process of its own.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use redspan_tests::{Lines, process};
use std::collections::{BTreeMap, HashMap};
use std::thread;
use tracing_error::{ErrorLayer, SpanTrace};
use tracing_mock::{expect, subscriber};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

macro_rules! alone {
    ($test:literal) => {
        if !process::is_alone($test) {
            process::run($test, &[]);
            return;
        }
    };
}

/// A program with the attribute that `$instrument` is.
macro_rules! program {
    ($name:ident, $instrument:path) => {
        mod $name {
            use $instrument as instrument;

            #[derive(Debug)]
            pub(crate) struct Refused(pub(crate) u64);

            impl std::fmt::Display for Refused {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    write!(f, "refused {}", self.0)
                }
            }

            #[instrument(target = "shop", fields(late = tracing::field::Empty), skip(card), err)]
            pub(crate) fn charge(cents: u64, card: &str) -> Result<u64, Refused> {
                tracing::Span::current().record("late", card.len());
                tracing::info!(target: "shop", cents, "charging");
                if cents == 0 { Err(Refused(cents)) } else { Ok(book(cents)) }
            }

            #[instrument(target = "shop", level = "debug", ret)]
            fn book(cents: u64) -> u64 {
                cents + 1
            }

            #[instrument(target = "shop", name = "order", fields(order.id = id))]
            pub(crate) async fn order(id: u64) -> Result<u64, Refused> {
                tokio::task::yield_now().await;
                let total = charge(id, "visa")?;
                tracing::info_span!(target: "shop", "by hand").in_scope(|| book(total));
                Ok(total)
            }

            #[instrument(target = "shop")]
            pub(crate) fn trace() -> String {
                tracing_error::SpanTrace::capture().to_string()
            }

            pub(crate) fn run() {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    assert!(order(3).await.is_ok());
                    assert!(order(0).await.is_err());
                });
                assert!(charge(5, "visa").is_ok());
            }
        }
    };
}

program!(theirs, tracing::instrument);
program!(ours, redspan::compat::instrument);

/// What was written, without times and lines of code.
fn timeless(lines: &Lines) -> Vec<String> {
    let without = |mut line: serde_json::Value| {
        let fields = line["fields"].as_object_mut().unwrap();
        fields.remove("time.busy");
        fields.remove("time.idle");
        line.to_string()
    };
    lines.take_json().into_iter().map(without).collect()
}

/// fmt and tracing-opentelemetry, as the application's own subscriber of the process.
fn set_up() -> (Lines, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let tracer = provider.tracer("shop");
    std::mem::forget(provider);
    let lines = Lines::default();
    let fmt = tracing_subscriber::fmt::layer()
        .json()
        .without_time()
        .with_span_events(FmtSpan::FULL)
        .with_writer(lines.for_each());
    let opentelemetry = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_tracked_inactivity(false)
        .with_target(true);
    tracing_subscriber::registry().with(fmt).with(opentelemetry).init();
    (lines, exporter)
}

/// What a span shows, with its parent's name for the ids.
fn shown(exporter: &InMemorySpanExporter) -> Vec<String> {
    let spans = exporter.get_finished_spans().unwrap();
    exporter.reset();
    let names: HashMap<_, _> =
        spans.iter().map(|span| (span.span_context.span_id(), span.name.clone())).collect();
    let show = |span: &SpanData| {
        let events: Vec<_> =
            span.events.iter().map(|event| (&event.name, &event.attributes)).collect();
        let attributes: Vec<_> =
            span.attributes.iter().map(|pair| format!("{}={:?}", pair.key, pair.value)).collect();
        let parent = names.get(&span.parent_span_id);
        let status = match &span.status {
            Status::Error { description } => format!("error {description}"),
            other => format!("{other:?}"),
        };
        let links = span.links.len();
        format!(
            "{} below {parent:?} {:?} {attributes:?} {events:?} {status} {links}",
            span.name, span.span_kind
        )
    };
    spans.iter().map(show).collect()
}

fn counted(page: &PrometheusHandle) -> BTreeMap<String, u64> {
    let page = page.render();
    let mut counts = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("function_calls_total{")) {
        let label = |name: &str| {
            let rest = line.split(&format!("{name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        if count > 0 {
            let key = format!("{} {}", label("function"), label("outcome"));
            assert!(counts.insert(key, count).is_none(), "doubled: {line}");
        }
    }
    counts
}

fn expected(times: u64) -> BTreeMap<String, u64> {
    let one = [
        ("book ok", 3),
        ("charge error", 1),
        ("charge ok", 2),
        ("order error", 1),
        ("order ok", 1),
    ];
    one.into_iter().map(|(key, count)| (key.to_owned(), count * times)).collect()
}

/// An event's line of code left out: of what a `macro_rules` writes, tracing names the place of the
/// `program!`.
fn placeless(text: &str) -> String {
    let mut parts = text.split("host_layers.rs:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Nothing differs but which module it stands in.
fn same(ours: Vec<String>, theirs: Vec<String>) {
    assert!(!theirs.is_empty());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(placeless(&ours.replace("::ours", "::theirs")), placeless(theirs));
    }
    assert_eq!(ours.len(), theirs.len());
}

fn both_alike(lines: &Lines, exporter: &InMemorySpanExporter) {
    theirs::run();
    let (lines_of_theirs, spans_of_theirs) = (timeless(lines), shown(exporter));
    ours::run();
    same(shown(exporter), spans_of_theirs);
    same(timeless(lines), lines_of_theirs);
}

#[test]
fn beside_fmt_opentelemetry_and_prometheus_installed_before() {
    alone!("beside_fmt_opentelemetry_and_prometheus_installed_before");
    let page = PrometheusBuilder::new().install_recorder().unwrap();
    let (lines, exporter) = set_up();
    both_alike(&lines, &exporter);
    assert_eq!(counted(&page), expected(1));
}

#[test]
fn beside_fmt_opentelemetry_and_prometheus_installed_after_the_first_calls() {
    alone!("beside_fmt_opentelemetry_and_prometheus_installed_after_the_first_calls");
    ours::run();
    let (lines, exporter) = set_up();
    let page = PrometheusBuilder::new().install_recorder().unwrap();
    both_alike(&lines, &exporter);
    assert_eq!(counted(&page), expected(2));
}

#[test]
fn beside_fmt_opentelemetry_and_prometheus_installed_long_after() {
    alone!("beside_fmt_opentelemetry_and_prometheus_installed_long_after");
    let (lines, exporter) = set_up();
    for _ in 0..200 {
        thread::scope(|scope| {
            scope.spawn(ours::run);
        });
    }
    exporter.reset();
    lines.take();
    let page = PrometheusBuilder::new().install_recorder().unwrap();
    both_alike(&lines, &exporter);
    assert_eq!(counted(&page), expected(201));
}

#[test]
fn tracing_mock_sees_what_it_expects_of_tracings_attribute() {
    for run in [theirs::run as fn(), ours::run] {
        let charge = || expect::span().named("charge").with_target("shop");
        let book = || expect::span().named("book").at_level(tracing::Level::DEBUG);
        let (mock, handle) = subscriber::mock()
            .with_filter(|metadata| matches!(metadata.name(), "charge" | "book"))
            .new_span(charge().with_fields(expect::field("cents").with_value(&3_u64).only()))
            .enter(charge())
            .record(charge(), expect::field("late").with_value(&4_u64))
            .new_span(book())
            .enter(book())
            .exit(book())
            .drop_span(book())
            .exit(charge())
            .drop_span(charge())
            .new_span(book().with_fields(expect::field("cents").with_value(&4_u64).only()))
            .enter(book())
            .exit(book())
            .drop_span(book())
            .run_with_handle();
        tracing::subscriber::with_default(mock, run);
        handle.assert_finished();
    }
}

// tracing-test shows what has this crate as its target.
#[redspan::compat::instrument(err)]
fn priced(cents: u64) -> Result<u64, ours::Refused> {
    tracing::info!("pricing");
    added(cents).ok_or(ours::Refused(cents))
}

#[redspan::instrumented(fields(cents))]
fn added(cents: u64) -> Option<u64> {
    tracing::info!("adding");
    (cents > 0).then_some(cents + 1)
}

#[tracing_test::traced_test]
#[test]
fn tracing_test_finds_the_lines_with_their_spans() {
    assert!(priced(3).is_ok());
    assert!(priced(0).is_err());
    assert!(logs_contain("priced{cents=3}: host_layers: pricing"));
    assert!(logs_contain("priced{cents=3}:added{cents=3}: host_layers: adding"));
    assert!(logs_contain("priced{cents=0}: host_layers: error=refused 0"));
    assert!(!logs_contain("priced{cents=3}: host_layers: error"));
}

#[test]
fn tracing_error_has_the_same_trace_of_spans() {
    let layered = tracing_subscriber::registry().with(ErrorLayer::default());
    tracing::subscriber::with_default(layered, || {
        let lines = |trace: String| -> Vec<String> {
            // Without the lines of code: the macro's place is the same, its module is not.
            trace.lines().map(|line| line.trim().replace("::ours", "::theirs")).collect()
        };
        let outer = tracing::info_span!("outer", n = 1).entered();
        let (of_ours, of_theirs) = (ours::trace(), theirs::trace());
        drop(outer);
        assert!(of_theirs.contains("shop::trace") && of_theirs.contains("outer"), "{of_theirs}");
        let only_names = |trace: String| -> Vec<String> {
            lines(trace).into_iter().filter(|line| !line.starts_with("at ")).collect()
        };
        assert_eq!(only_names(of_ours), only_names(of_theirs));
        assert_eq!(SpanTrace::capture().to_string(), "");
    });
}

#[test]
fn a_program_that_keeps_its_subscriber_for_a_while_only_is_counted_throughout() {
    alone!("a_program_that_keeps_its_subscriber_for_a_while_only_is_counted_throughout");
    let page = PrometheusBuilder::new().install_recorder().unwrap();
    ours::run();
    let lines = Lines::default();
    let fmt = tracing_subscriber::fmt::layer().json().with_writer(lines.for_each());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(fmt), ours::run);
    ours::run();
    assert_eq!(counted(&page), expected(3));
    assert!(!lines.take().is_empty());
}
