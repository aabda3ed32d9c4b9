//! The same functions under `#[tracing::instrument]` with tracing-opentelemetry, and under
//! `compat::instrument` with redspan alone: what is exported is the same.

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use redspan::testing;
use std::collections::HashMap;
use tracing_subscriber::layer::SubscriberExt;

/// What tracing-opentelemetry writes and redspan does not, or the other way round: see the docs of
/// `redspan::compat`.
const DIFFERENT: &[&str] = &[
    "thread.id",
    "thread.name",
    "busy_ns",
    "idle_ns",
    "code.function.name",
    "error.type",
    "redspan.outcome",
    "exception.stacktrace",
];

/// Spans of the cases that `tracing::info_span!` makes: redspan's bridge leaves their places out.
const FOREIGN: &[&str] = &["s", "around", "other", "cause", "a", "b"];

fn is_location(key: &str) -> bool {
    key == "target" || key.starts_with("code.")
}

fn text(value: &Value) -> String {
    // Numbers that tracing-opentelemetry writes as text read the same.
    value.to_string().replace("::theirs", "").replace("::ours", "")
}

fn described(spans: &[SpanData], status: bool) -> Vec<String> {
    let names: HashMap<SpanId, &str> =
        spans.iter().map(|span| (span.span_context.span_id(), &*span.name)).collect();
    let mut all: Vec<String> = spans
        .iter()
        .map(|span| {
            let mut attributes: Vec<_> = span
                .attributes
                .iter()
                .filter(|kv| !DIFFERENT.contains(&kv.key.as_str()))
                .filter(|kv| !(FOREIGN.contains(&&*span.name) && is_location(kv.key.as_str())))
                .map(|kv| format!("{}={}", kv.key, text(&kv.value)))
                // A chain of no sources is none.
                .filter(|pair| !pair.ends_with(".chain=[]"))
                .collect();
            attributes.sort();
            let events: Vec<_> = span
                .events
                .iter()
                .map(|event| {
                    let pairs = event.attributes.iter();
                    let pairs = pairs.filter(|kv| {
                        let key = kv.key.as_str();
                        !key.starts_with("code.") && !DIFFERENT.contains(&key)
                    });
                    let pairs: Vec<_> =
                        pairs.map(|kv| format!("{}={}", kv.key, text(&kv.value))).collect();
                    format!("{}{pairs:?}", event.name)
                })
                .collect();
            let links: Vec<_> = span
                .links
                .iter()
                .map(|link| names.get(&link.span_context.span_id()).copied().unwrap_or("?"))
                .collect();
            let parent = names.get(&span.parent_span_id).copied().unwrap_or("-");
            let status = if status { format!("{:?}", span.status) } else { String::new() };
            format!(
                "{} below {parent} {:?} {status} {attributes:?} events {events:?} links {links:?}",
                span.name, span.span_kind
            )
        })
        .collect();
    all.sort();
    all
}

fn with_tracing(run: fn()) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    exporter.get_finished_spans().unwrap()
}

fn with_redspan(run: fn()) -> Vec<SpanData> {
    let ((), seen) = testing::scope(run);
    seen.spans().iter().map(|span| span.data().clone()).collect()
}

/// `name { items } { run }`: the items stand in two modules, which differ in one import.
macro_rules! cases {
    ($($name:ident { $($item:tt)* } { $($run:tt)* })*) => {
        #[allow(unused, unreachable_pub, clippy::all, clippy::pedantic)]
        mod cases {$(
            pub mod $name {
                pub mod theirs {
                    use std::{future::Future, pin::Pin};
                    use tracing::{Level, Span, field::Empty, instrument};
                    $($item)*
                    pub fn run() { $($run)* }
                }
                pub mod ours {
                    use std::{future::Future, pin::Pin};
                    use redspan::compat::instrument;
                    use tracing::{Level, Span, field::Empty};
                    $($item)*
                    pub fn run() { $($run)* }
                }
            }
        )*}
        const CASES: &[(&str, fn(), fn())] =
            &[$((stringify!($name), cases::$name::theirs::run, cases::$name::ours::run)),*];
    };
}

fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

cases! {
    plain { #[instrument] fn f() {} } { f() }
    named { #[instrument(name = "other")] fn f() {} } { f() }
    named_bare { #[instrument("other")] fn f() {} } { f() }
    named_constant { const N: &str = "const"; #[instrument(name = N)] fn f() {} } { f() }
    target { #[instrument(target = "elsewhere")] fn f() {} } { f() }
    target_constant { const T: &str = "t"; #[instrument(target = T)] fn f() {} } { f() }
    level_text { #[instrument(level = "Warn")] fn f() {} } { f() }
    level_number { #[instrument(level = 4)] fn f() {} } { f() }
    level_path { #[instrument(level = Level::ERROR)] fn f() {} } { f() }
    integers { #[instrument] fn f(a: i8, b: i16, c: i32, d: i64, e: isize) {} } { f(-1, 2, -3, 4, 5) }
    unsigned { #[instrument] fn f(a: u8, b: u16, c: u32, d: u64, e: usize) {} } { f(1, 2, 3, u64::MAX, 5) }
    wide { #[instrument] fn f(a: i128, b: u128) {} } { f(i128::MIN, u128::MAX) }
    floats { #[instrument] fn f(a: f32, b: f64) {} } { f(0.5, -1.25) }
    booleans { #[instrument] fn f(a: bool) {} } { f(true) }
    strings { #[instrument] fn f(a: &str, b: String, c: &String) {} } { f("a", "b".into(), &"c".into()) }
    debugged { #[instrument] fn f(a: Option<u8>, b: Vec<&str>, c: ()) {} } { f(Some(1), vec!["x"], ()) }
    non_zero { #[instrument] fn f(a: std::num::NonZeroU8) {} } { f(3.try_into().unwrap()) }
    by_reference { #[instrument] fn f(a: &u32, b: &mut i64) { *b += 1; } } { f(&1, &mut 2) }
    underscored { #[instrument] fn f(_a: u8) {} } { f(1) }
    mutable { #[instrument] fn f(mut a: u8) -> u8 { a += 1; a } } { f(1); }
    wild { #[instrument] fn f(_: u8, b: u8) {} } { f(1, 2) }
    raw_name { #[instrument] fn f(r#type: u8) {} } { f(1) }
    tuple { #[instrument] fn f((a, b): (u8, u8)) {} } { f((1, 2)) }
    nested { struct P { x: u8, y: (u8, Option<u8>) } #[instrument] fn f(P { x, y: (z, w) }: P) {} } { f(P { x: 1, y: (2, None) }) }
    reference_pattern { #[instrument] fn f(&a: &u8) {} } { f(&1) }
    tuple_struct { struct W(u8); #[instrument] fn f(W(a): W) {} } { f(W(1)) }
    value_of_pattern { #[instrument(fields(sum = a + b, wide = a as f64))] fn f((a, b): (u8, u8)) {} } { f((1, 2)) }
    skipped { #[instrument(skip(a))] fn f(a: u8, b: u8) {} } { f(1, 2) }
    all_skipped { #[instrument(skip_all, fields(b))] fn f(a: u8, b: u8) {} } { f(1, 2) }
    receiver { #[derive(Debug)] struct S(u8); impl S { #[instrument] fn f(&self, a: u8) {} } } { S(1).f(2) }
    receiver_skipped { struct S; impl S { #[instrument(skip(self))] fn f(&mut self, a: u8) {} } } { S.f(2) }
    receiver_owned { #[derive(Debug)] struct S(String); impl S { #[instrument(fields(n = self.0.len()))] fn f(self) -> String { self.0 } } } { S("x".into()).f(); }
    field { #[instrument(fields(x = 1, y = "two", z = 0.5))] fn f() {} } { f() }
    field_of_expression { #[instrument(skip_all, fields(len = v.len()))] fn f(v: &[u8]) {} } { f(&[1, 2]) }
    field_shown { #[instrument(skip_all, fields(a = %v, b = ?v))] fn f(v: &str) {} } { f("x") }
    field_short { #[instrument(skip_all, fields(%v, ?w))] fn f(v: &str, w: &str) {} } { f("x", "y") }
    field_dotted { #[instrument(fields(http.method = "GET", a.b.c = 3))] fn f() {} } { f() }
    field_constant { const K: &str = "key"; #[instrument(fields({ K } = 3))] fn f() {} } { f() }
    field_over_argument { #[instrument(fields(a = "new"))] fn f(a: u8) {} } { f(1) }
    field_option { #[instrument(fields(a = Some(1), b = None::<i32>))] fn f() {} } { f() }
    field_error { #[instrument(skip_all, fields(e = e as &(dyn std::error::Error + 'static)))] fn f(e: &std::fmt::Error) {} } { f(&std::fmt::Error) }
    recorded_late { #[instrument(fields(late = Empty, never))] fn f() { Span::current().record("late", 7); } } { f() }
    recorded_late_text { #[instrument(fields(late))] fn f() { Span::current().record("late", "x").record("late2", 1); } } { f() }
    recorded_after_await { #[instrument(fields(late))] async fn f() { tokio::task::yield_now().await; Span::current().record("late", true); } } { crate::block(f()) }
    event { #[instrument] fn f() { tracing::info!(a = 1, b = ?Some(2), "hello"); } } { f() }
    event_of_target { #[instrument] fn f() { tracing::warn!(target: "t", "x"); } } { f() }
    events { #[instrument] fn f() { tracing::info!("1"); tracing::warn!("2"); } } { f(); f() }
    child { #[instrument] fn f() { g() } #[instrument] fn g() {} } { f() }
    tracing_child { #[instrument] fn f() { tracing::info_span!("s", a = 1).in_scope(g) } #[instrument] fn g() {} } { f() }
    recursive { #[instrument] fn f(n: u8) { if n > 0 { f(n - 1) } } } { f(3) }
    parent { #[instrument(skip_all, parent = p)] fn f(p: &Span) {} #[instrument] fn g() {} } { let s = tracing::info_span!("other"); let _in = tracing::info_span!("around").entered(); f(&s) }
    parent_none { #[instrument(parent = None)] fn f() {} } { tracing::info_span!("around").in_scope(f) }
    parent_and_target { #[instrument(parent = None, target = "t")] fn f() { g() } #[instrument] fn g() {} } { f() }
    follows { #[instrument(skip_all, follows_from = [a.id()])] fn f(a: &Span) {} } { let s = tracing::info_span!("cause"); f(&s) }
    follows_many { #[instrument(skip_all, follows_from = v)] fn f(v: &[Span]) {} } { let v = [tracing::info_span!("a"), tracing::info_span!("b")]; f(&v) }
    follows_async { #[instrument(skip_all, follows_from = [a.id()])] async fn f(a: Span) {} } { crate::block(f(tracing::info_span!("cause"))) }
    err { #[instrument(err)] fn f() -> Result<u8, &'static str> { Err("broken") } } { let _ = f(); }
    err_fine { #[instrument(err)] fn f() -> Result<u8, &'static str> { Ok(1) } } { let _ = f(); }
    err_debug { #[instrument(err(Debug))] fn f() -> Result<u8, &'static str> { Err("broken") } } { let _ = f(); }
    err_level { #[instrument(err(level = "info"))] fn f() -> Result<u8, &'static str> { Err("broken") } } { let _ = f(); }
    err_async { #[instrument(err)] async fn f() -> Result<u8, &'static str> { Err("broken")? } } { let _ = crate::block(f()); }
    ret { #[instrument(ret)] fn f() -> u8 { 3 } } { f(); }
    ret_display { #[instrument(ret(Display))] fn f() -> &'static str { "x" } } { f(); }
    ret_level { #[instrument(ret(level = "warn"), target = "t")] async fn f() -> u8 { 3 } } { crate::block(f()); }
    ret_and_err { #[instrument(ret, err)] fn f(n: u8) -> Result<u8, String> { if n > 0 { Ok(n) } else { Err("none".into()) } } } { let _ = f(0); let _ = f(1); }
    otel_name { #[instrument(fields(otel.name = "renamed"))] fn f() {} } { f() }
    otel_kind { #[instrument(fields(otel.kind = "SERVER"))] fn f() {} } { f() }
    otel_status { #[instrument(fields(otel.status_code = "ok"))] fn f() {} } { f() }
    otel_status_late { #[instrument(fields(otel.status_code))] fn f() { Span::current().record("otel.status_code", "error"); } } { f() }
    otel_description { #[instrument(fields(otel.status_description = "why"))] fn f() {} } { f() }
    asynchronous { #[instrument] async fn f(a: u8) { g().await } #[instrument] async fn g() { tokio::task::yield_now().await } } { crate::block(f(1)) }
    returns_future { #[instrument] fn f(a: u8) -> impl Future<Output = u8> { async move { tracing::info!("in"); a } } } { crate::block(f(1)); }
    boxed_future { #[instrument(err)] fn f(a: u8) -> Pin<Box<dyn Future<Output = Result<u8, String>>>> { Box::pin(async move { Err("no".to_string()) }) } } { let _ = crate::block(f(1)); }
    in_async_trait { #[async_trait::async_trait] trait T { async fn f(&self, a: u8) -> u8; } #[derive(Debug)] struct S; #[async_trait::async_trait] impl T for S { #[instrument(fields(twice = a * 2))] async fn f(&self, a: u8) -> u8 { a } } } { crate::block(T::f(&S, 1)); }
    generic { #[instrument] fn f<T: std::fmt::Debug, const N: usize>(a: [T; N]) {} } { f([1, 2]) }
    receiver_of_any_form { use std::{rc::Rc, sync::Arc}; #[derive(Debug, Clone)] struct S(u8); impl S { #[instrument] fn b(self: Box<Self>) {} #[instrument] fn r(self: Rc<Self>) {} #[instrument] fn a(self: &Arc<Self>) {} #[instrument(skip(self), fields(n = self.0))] fn p(self: Pin<&mut Self>) {} #[instrument] async fn o(self) -> Self { self } } } { Box::new(S(1)).b(); Rc::new(S(2)).r(); Arc::new(S(3)).a(); Pin::new(&mut S(4)).p(); crate::block(S(5).o()); }
    deep_pattern { #[derive(Debug)] struct P<T> { x: T, y: (u8, Option<T>) } #[instrument] fn f(all @ P { .. }: P<u8>, (a, (b, [c, ..])): (u8, (u8, [u8; 3])), &(d, ref e): &(u8, String), [g, h]: [u8; 2]) {} } { f(P { x: 1, y: (2, None) }, (1, (2, [3; 3])), &(4, "e".into()), [5, 6]) }
    impl_trait { #[instrument(skip(it))] fn f<'a>(it: impl IntoIterator<Item = u8>, of: &'a [u8]) -> impl Iterator<Item = u8> + 'a { let n = it.into_iter().count(); of.iter().map(move |x| x + n as u8) } } { f([1], &[1, 2]).count(); }
    lifetimes_and_consts { #[instrument(skip_all, fields(n = N, len = a.len()))] fn f<'a: 'b, 'b, T, const N: usize, const B: bool>(a: &'a [T; N], b: &'b str) -> (&'b T, &'b str) where T: Sized { (&a[0], b) } } { f::<_, 2, true>(&[1, 2], "b"); }
    of_another_abi { #[instrument] unsafe extern "C" fn f(a: u8) -> u8 { a } } { unsafe { f(1) }; }
    names_as_ours { #[instrument] fn f(site: u8, call: u8, span: u8, out: u8) -> u8 { let started = site; started + call + span + out } } { f(1, 2, 3, 4); }
    in_a_trait { trait T { const K: u8; #[instrument(skip(self))] fn f(&self, a: u8) -> u8 { a + Self::K } } struct S; impl T for S { const K: u8 = 3; } } { S.f(1); }
    of_a_closure { #[instrument(skip(c), ret)] async fn f<T: std::fmt::Debug>(c: impl AsyncFn(u8) -> T, k: u8) -> T { c(k).await } } { crate::block(f(async |x| x + 1, 1)); }
    a_future_that_is_dropped { #[instrument] async fn f(n: u8) { tracing::info!("in"); std::future::pending::<()>().await } } { crate::block(async { let mut f = Box::pin(f(1)); std::future::poll_fn(|cx| { let _ = f.as_mut().poll(cx); std::task::Poll::Ready(()) }).await; }) }
    with_work_before_the_future { #[instrument(err)] fn f(a: u8) -> impl Future<Output = Result<u8, String>> + Send { let b = a + 1; async move { Err(format!("no {b}")) } } } { let _ = crate::block(f(1)); }
    written_by_a_macro {
        macro_rules! written {
            ($f:ident, $level:literal, $name:expr, $($field:ident = $value:expr),*) => {
                #[instrument(level = $level, name = $name, fields($($field = $value),*, ?local), err)]
                fn $f<E: std::fmt::Display + std::fmt::Debug>(local: E) -> Result<u8, E> {
                    Err(local)
                }
            };
        }

        written!(f, "warn", "named", one = 1);
    } { let _ = f("e"); }
    hidden_by_level { #[instrument] fn f() { tracing::info!("x"); } } { tracing::Span::none().in_scope(f) }
}

#[test]
fn what_is_exported_is_what_tracing_opentelemetry_exports() {
    assert!(CASES.len() >= 60, "{}", CASES.len());
    let wrong: Vec<_> = CASES
        .iter()
        .filter_map(|(name, theirs, ours)| {
            let theirs = described(&with_tracing(*theirs), true);
            let ours = described(&with_redspan(*ours), true);
            let shown = || format!("{name}:\n  {}\n  {}", theirs.join("\n  "), ours.join("\n  "));
            (theirs != ours || theirs.is_empty()).then(shown)
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// What the comparison above leaves out is told to the users, each with its reason.
#[test]
fn the_docs_name_every_attribute_that_is_not_compared() {
    let docs = include_str!("../runtime/src/compat.rs");
    let table = docs.split("# With `init!`").nth(1).and_then(|it| it.split("# Futures").next());
    let rows: Vec<_> = table.unwrap().lines().filter(|line| line.starts_with("//! |")).collect();
    for key in DIFFERENT.iter().chain(&["target", "code.*", ".chain"]) {
        assert!(rows.iter().any(|row| row.contains(key)), "{key} is in no row of {rows:#?}");
    }
    let (_, differences) = rows.split_at(2);
    assert!(
        differences.iter().all(|row| row.matches(" | ").count() == 4),
        "a row without a reason"
    );
}

mod deliberate {
    use super::{SpanData, Status, Value, described, with_redspan, with_tracing};

    macro_rules! twins {
        ($($item:tt)*) => {
            mod theirs { use tracing::instrument; $($item)* }
            mod ours { use redspan::compat::instrument; $($item)* }
        };
    }

    twins! {
        #[instrument]
        fn fails() -> Result<(), &'static str> { Err("secret") }
        pub(super) fn returns_err() { let _ = fails(); }
        #[instrument]
        pub(super) fn panics() { std::panic::resume_unwind(Box::new(())) }
        pub(super) fn unwinds() { let _ = std::panic::catch_unwind(panics); }
        #[instrument]
        pub(super) fn overcomes() { tracing::error!("first try failed"); }
        #[instrument]
        fn number(n: u64) { let _ = n; }
        pub(super) fn takes_number() { number(7); }
        #[instrument(fields(step))]
        pub(super) fn records_twice() {
            tracing::Span::current().record("step", 1);
            tracing::Span::current().record("step", 2);
        }
        #[instrument]
        async fn waits() { std::future::pending::<()>().await }
        pub(super) fn is_dropped() {
            let mut future = Box::pin(waits());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(std::future::Future::poll(future.as_mut(), &mut context).is_pending());
        }
    }

    fn same_but_for_status(theirs: fn(), ours: fn(), their_status: Status, our_status: Status) {
        let (theirs, ours) = (with_tracing(theirs), with_redspan(ours));
        assert_eq!(described(&theirs, false), described(&ours, false));
        assert_eq!((&theirs[0].status, &ours[0].status), (&their_status, &our_status));
    }

    #[test]
    fn an_err_without_the_option_is_an_error_without_a_text() {
        let ours = Status::error("");
        same_but_for_status(theirs::returns_err, ours::returns_err, Status::Unset, ours);
    }

    #[test]
    fn a_panic_is_an_error() {
        same_but_for_status(theirs::unwinds, ours::unwinds, Status::Unset, Status::error("panic"));
    }

    #[test]
    fn an_error_event_in_a_call_that_succeeds_is_none() {
        let theirs = Status::error("");
        same_but_for_status(theirs::overcomes, ours::overcomes, theirs, Status::Unset);
    }

    /// The values of an attribute of the first span.
    fn all(spans: &[SpanData], key: &str) -> Vec<Value> {
        let pairs = spans[0].attributes.iter().filter(|kv| kv.key.as_str() == key);
        pairs.map(|kv| kv.value.clone()).collect()
    }

    #[test]
    fn an_unsigned_number_stays_a_number() {
        assert_eq!(all(&with_tracing(theirs::takes_number), "n"), [Value::from("7")]);
        assert_eq!(all(&with_redspan(ours::takes_number), "n"), [Value::from(7)]);
    }

    #[test]
    fn of_a_key_that_is_recorded_twice_the_last_value_stays() {
        let both = [Value::from(1), Value::from(2)];
        assert_eq!(all(&with_tracing(theirs::records_twice), "step"), both);
        assert_eq!(all(&with_redspan(ours::records_twice), "step"), [Value::from(2)]);
    }

    #[test]
    fn a_call_that_is_cancelled_says_so() {
        let (theirs, ours) = (with_tracing(theirs::is_dropped), with_redspan(ours::is_dropped));
        assert_eq!(described(&theirs, true), described(&ours, true));
        assert_eq!(all(&theirs, "redspan.outcome"), []);
        assert_eq!(all(&ours, "redspan.outcome"), [Value::from("cancelled")]);
    }

    #[test]
    fn spans_of_tracings_macros_do_not_say_where_they_stand() {
        let run = || tracing::info_span!("s", a = 1).in_scope(|| ());
        let (theirs, ours) = (with_tracing(run), with_redspan(run));
        assert_eq!([all(&theirs, "a"), all(&ours, "a")], [[Value::from(1)], [Value::from(1)]]);
        for key in ["target", "code.module.name", "code.file.path", "code.line.number"] {
            assert_eq!([all(&theirs, key).len(), all(&ours, key).len()], [1, 0], "{key}");
        }
    }
}
