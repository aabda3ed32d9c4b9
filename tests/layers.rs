//! An application's own layers beside redspan's, which want a tracing span of every call.

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use redspan::{Outcome, Telemetry, instrumented};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::registry::LookupSpan;

/// What a layer saw.
#[derive(Default)]
struct Seen {
    spans: BTreeMap<u64, (&'static str, String)>,
    fields: Vec<String>,
    opened: u64,
    closed: u64,
    entered: i64,
}

#[derive(Clone, Default)]
struct Watching(Arc<Mutex<Seen>>);

impl Watching {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?};"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watching {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: LayerContext<'_, S>) {
        let mut text = Text(String::new());
        attributes.record(&mut text);
        let mut seen = self.seen();
        seen.opened += 1;
        let name = attributes.metadata().name();
        seen.fields.push(format!("{name}: {}", text.0));
        seen.spans.insert(id.into_u64(), (name, text.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: LayerContext<'_, S>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        let mut seen = self.seen();
        let Some((name, _)) = seen.spans.get(&id.into_u64()).cloned() else { return };
        seen.fields.push(format!("{name}: {}", text.0));
    }

    fn on_enter(&self, _: &Id, _: LayerContext<'_, S>) {
        self.seen().entered += 1;
    }

    fn on_exit(&self, _: &Id, _: LayerContext<'_, S>) {
        self.seen().entered -= 1;
    }

    fn on_close(&self, id: Id, _: LayerContext<'_, S>) {
        let mut seen = self.seen();
        seen.closed += 1;
        seen.spans.remove(&id.into_u64());
    }

    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        if event.metadata().target() != "redspan" && event.metadata().name() != "from the layer" {
            called_by_a_layer();
        }
    }
}

#[instrumented]
fn called_by_a_layer() {}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Kept {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        called_by_the_sink();
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[instrumented]
fn called_by_the_sink() {}

struct Everything {
    telemetry: Telemetry,
    watching: Watching,
    filtered: Watching,
    kept: Kept,
}

static ALL: LazyLock<Everything> = LazyLock::new(|| {
    let (watching, filtered, kept) = (Watching::default(), Watching::default(), Kept::default());
    let filter = tracing_subscriber::EnvFilter::new("[chosen]=debug");
    let telemetry = redspan::builder()
        .layer(watching.clone())
        .layer(filtered.clone().with_filter(filter))
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .spans_to(kept.clone())
        .install()
        .unwrap();
    Everything { telemetry, watching, filtered, kept }
});

/// The exported spans. While a test holds them it is the only one: all look at the same layers.
struct Watched(Vec<SpanData>, #[expect(dead_code)] MutexGuard<'static, ()>);

impl std::ops::Deref for Watched {
    type Target = [SpanData];

    fn deref(&self) -> &[SpanData] {
        &self.0
    }
}

fn watched(body: impl FnOnce()) -> Watched {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let all = &*ALL;
    assert!(all.telemetry.flush(Duration::from_secs(20)));
    *all.watching.seen() = Seen::default();
    *all.filtered.seen() = Seen::default();
    all.kept.0.lock().unwrap().clear();
    body();
    assert!(all.telemetry.flush(Duration::from_secs(20)));
    {
        let seen = all.watching.seen();
        assert_eq!(seen.opened, seen.closed, "all are closed: {:?}", seen.spans);
        assert_eq!(seen.entered, 0);
    }
    assert_eq!(all.filtered.seen().entered, 0);
    Watched(std::mem::take(&mut *all.kept.0.lock().unwrap()), one)
}

fn tree(spans: &[SpanData]) -> String {
    fn branch(spans: &[SpanData], span: &SpanData, depth: usize, text: &mut String) {
        text.push_str(&format!("{}{}\n", "  ".repeat(depth), span.name));
        let id = span.span_context.span_id();
        let mut below: Vec<_> = spans.iter().filter(|it| it.parent_span_id == id).collect();
        below.sort_by_key(|span| span.start_time);
        below.into_iter().for_each(|child| branch(spans, child, depth + 1, text));
    }
    let known = |id| spans.iter().any(|span| span.span_context.span_id() == id);
    let mut roots: Vec<_> = spans.iter().filter(|span| !known(span.parent_span_id)).collect();
    roots.sort_by_key(|span| span.start_time);
    let mut text = String::new();
    roots.into_iter().for_each(|root| branch(spans, root, 0, &mut text));
    text
}

fn attribute(spans: &[SpanData], name: &str, key: &str) -> Option<String> {
    let span = spans.iter().find(|span| span.name == name)?;
    let pair = span.attributes.iter().find(|pair| pair.key.as_str() == key)?;
    Some(pair.value.to_string())
}

fn fields_of(watching: &Watching, name: &str) -> Vec<String> {
    let seen = watching.seen();
    let wanted = format!("{name}: ");
    seen.fields.iter().filter_map(|it| it.strip_prefix(&wanted)).map(str::to_owned).collect()
}

#[instrumented(fields(n, late = Empty))]
fn outer(n: u8, inside: impl FnOnce()) {
    tracing::Span::current().record("late", 5);
    inside();
}

#[instrumented]
fn inner() {}

#[test]
fn a_layer_sees_the_calls_and_nothing_is_exported_twice() {
    let spans = watched(|| {
        outer(1, || {
            inner();
            global::tracer("native").in_span("native", |_| inner());
            tracing::info_span!("foreign").in_scope(inner);
        });
    });
    assert_eq!(tree(&spans), "outer\n  inner\n  native\n    inner\n  foreign\n    inner\n");
    assert_eq!(attribute(&spans, "outer", "n").as_deref(), Some("1"));
    assert_eq!(attribute(&spans, "outer", "late").as_deref(), Some("5"));
    assert_eq!(fields_of(&ALL.watching, "outer"), ["n=1;", "late=5;"]);
    let times = ["inner", "foreign", "native"].map(|name| fields_of(&ALL.watching, name).len());
    assert_eq!(times, [3, 1, 0], "OpenTelemetry's own span is none of tracing's");
    assert_eq!(ALL.filtered.seen().opened, 0);
}

#[test]
fn a_number_stays_a_number_where_a_layer_wants_the_span() {
    let spans = watched(|| outer(7, inner));
    let span = spans.iter().find(|span| span.name == "outer").unwrap();
    let value = |key| {
        let pair = span.attributes.iter().find(|pair| pair.key.as_str() == key);
        pair.map(|pair| pair.value.clone())
    };
    assert_eq!((value("n"), value("late")), (Some(7.into()), Some(5.into())));
}

#[instrumented(fields(n))]
fn chosen(n: u8) {
    inner();
}

#[test]
fn a_layers_own_filter_is_heard() {
    let spans = watched(|| outer(1, || chosen(2)));
    assert_eq!(tree(&spans), "outer\n  chosen\n    inner\n");
    assert_eq!(fields_of(&ALL.filtered, "chosen"), ["n=2;"]);
    assert_eq!(fields_of(&ALL.filtered, "outer"), [""; 0]);
}

#[instrumented(fields(late = Empty))]
async fn waits(n: u64) {
    for _ in 0..n {
        tokio::task::yield_now().await;
        tracing::Span::current().record("late", n);
    }
    inner();
}

#[instrumented]
async fn never_ready() {
    std::future::pending::<()>().await;
}

#[test]
fn futures_are_entered_around_polls_and_closed_when_they_are_dropped() {
    let spans = watched(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::join!(waits(3), waits(3));
            tokio::spawn(waits(3)).await.unwrap();
            let _ = tokio::time::timeout(Duration::from_millis(1), never_ready()).await;
        });
    });
    let expected = "waits\n  inner\n".repeat(3) + "never_ready\n";
    assert_eq!(tree(&spans), expected);
    assert_eq!(fields_of(&ALL.watching, "waits").iter().filter(|it| *it == "late=3;").count(), 9);
    let outcome = attribute(&spans, "never_ready", "redspan.outcome");
    assert_eq!(outcome.as_deref(), Some(Outcome::Cancelled.as_str()));
}

#[instrumented]
fn unwinds() {
    inner();
    resume_unwind(Box::new(()));
}

#[test]
fn a_panic_closes_everything() {
    let spans = watched(|| {
        outer(1, || {
            assert!(catch_unwind(unwinds).is_err());
            inner();
        });
    });
    assert_eq!(tree(&spans), "outer\n  unwinds\n    inner\n  inner\n");
}

#[test]
fn a_call_while_the_context_is_borrowed_goes_on() {
    let spans = watched(|| {
        Context::map_current(|_| outer(1, inner));
        outer(2, inner);
    });
    assert_eq!(spans.len(), 4, "{}", tree(&spans));
    assert!(tree(&spans).ends_with("outer\n  inner\n"));
}

/// Makes spans of its own while the call's tracing span is being made of it.
struct MakesSpans;

impl fmt::Debug for MakesSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        inner();
        global::tracer("native").in_span("native in a field", |_| ());
        f.write_str("made")
    }
}

#[instrumented(fields(field = ?MakesSpans))]
fn shows() {}

#[test]
fn spans_made_while_fields_are_rendered_are_their_own() {
    let spans = watched(shows);
    let times = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!(times("shows"), 1, "{}", tree(&spans));
    assert_eq!(times("native in a field"), times("inner"), "{}", tree(&spans));
    assert!(times("inner") >= 1);
    assert_eq!(attribute(&spans, "shows", "field").as_deref(), Some("made"));
}

struct Rude;

impl fmt::Debug for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        resume_unwind(Box::new("rude"))
    }
}

#[instrumented(fields(rude = ?Rude))]
fn takes(n: u8) -> u8 {
    inner();
    n
}

#[test]
fn a_field_that_panics_in_a_layer_does_not_reach_the_caller() {
    let mut opened = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _ = &*ALL;
        watched(|| {
            assert_eq!(takes(1), 1);
            opened = ALL.watching.seen().opened;
        })
    }));
    let spans = result.expect("the call goes on");
    assert_eq!(tree(&spans), "takes\n  inner\n");
}

#[test]
fn layers_and_sinks_may_call_instrumented_functions() {
    let calls = |function| {
        let site = redspan::catalog().find(|site| site.function() == function).unwrap();
        site.red().started()
    };
    let before = (calls("called_by_a_layer"), calls("called_by_the_sink"));
    let spans = watched(|| {
        outer(1, || tracing::info!("hello"));
    });
    assert!(calls("called_by_a_layer") > before.0);
    assert!(calls("called_by_the_sink") > before.1);
    // A span that a layer makes in `on_event` resets tracing-subscriber's filters for the layers
    // after it: how many of them heard the event is not ours to say.
    assert!(tree(&spans).starts_with("outer\n  called_by_a_layer\n"), "{}", tree(&spans));
    assert_eq!(Context::current().span().span_context().span_id(), 0_u64.into());
}

/// Calls when its thread ends.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        outer(9, || {
            metrics::counter!("late").increment(1);
            inner();
        });
    }
}

thread_local! {
    static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
}

fn remember() {
    LATE.with(|late| *late.borrow_mut() = Some(Late));
}

// A panic in a thread-local's destructor ends the process.
#[test]
fn recorded_calls_of_a_threads_last_moments_are_accounted_for() {
    let site = || redspan::catalog().find(|site| site.function() == "outer").unwrap().red();
    let _held = watched(|| {
        let before = site().finished();
        let threads: [fn(); 6] = [
            remember,
            || {
                outer(1, inner);
                remember();
            },
            || {
                remember();
                outer(1, inner);
            },
            || outer(1, remember),
            || {
                remember();
                let _attached = Context::new().attach();
                tracing::info!("only an event");
            },
            || {
                let count = || metrics::counter!("late").increment(1);
                count();
                outer(1, remember);
                outer(1, count);
            },
        ];
        for body in threads {
            std::thread::spawn(body).join().unwrap();
        }
        assert_eq!(site().finished() - before, 11);
        assert_eq!(site().in_flight(), 0);
    });
    let spans = ALL.telemetry.spans();
    assert_eq!(spans.sampled, spans.running + spans.exported + spans.dropped());
    assert_eq!(spans.running, 0);
}
