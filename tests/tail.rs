//! The tail policy: local traces are kept or dropped whole, once they have ended.

use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use redspan::{instrumented, tail};
use redspan_tests::{Kept, Lines};
use std::collections::{HashMap, HashSet};
use std::panic::{catch_unwind, resume_unwind};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Fine,
    Error,
    Panic,
    Cancelled,
    Slow,
}

/// Five spans, the last of them on another thread now and then.
#[instrumented]
fn request(fate: Fate, elsewhere: bool) -> TraceId {
    let trace = Context::current().span().span_context().trace_id();
    let _ = catch_unwind(|| handler(fate, elsewhere));
    trace
}

#[instrumented]
fn handler(fate: Fate, elsewhere: bool) {
    leaf();
    if elsewhere {
        let context = Context::current();
        std::thread::spawn(move || {
            let _here = context.attach();
            let _ = catch_unwind(|| decides(fate));
        })
        .join()
        .unwrap();
    } else {
        let _ = catch_unwind(|| decides(fate));
    }
    tracing::info_span!("foreign").in_scope(|| tracing::debug!("in it"));
}

#[instrumented]
fn leaf() {}

#[instrumented]
fn decides(fate: Fate) {
    metrics::counter!("decided").increment(1);
    match fate {
        Fate::Fine => {}
        Fate::Error => drop(fails()),
        Fate::Panic => panics(),
        Fate::Cancelled => {
            let mut future = Box::pin(waits());
            let waker = std::task::Waker::noop();
            let _ = future.as_mut().poll(&mut std::task::Context::from_waker(waker));
        }
        Fate::Slow => std::thread::sleep(Duration::from_millis(40)),
    }
}

#[instrumented]
fn fails() -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)
}

#[instrumented]
fn panics() {
    resume_unwind(Box::new(()));
}

#[instrumented]
async fn waits() {
    std::future::pending::<()>().await;
}

fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

fn kept_because(span: &SpanData) -> Option<String> {
    let pair = span.attributes.iter().find(|pair| pair.key.as_str() == "redspan.kept");
    pair.map(|pair: &KeyValue| pair.value.to_string())
}

/// The traces that the exemplars of a family name.
fn shown_by(family: &str) -> Vec<String> {
    let page = redspan::recorder().render_openmetrics();
    let shown = page.lines().filter(|line| line.starts_with(family));
    let ids = shown.filter_map(|line| line.split("trace_id=\"").nth(1)?.split('"').next());
    ids.map(str::to_owned).collect()
}

/// One process, one policy, so one test: ten thousand traces of every fate.
#[test]
fn grave_traces_are_kept_whole_and_a_share_of_the_others() {
    let lines = Lines::default();
    let kept = Kept::default();
    let policy = tail::policy().slower_than(Duration::from_millis(30)).ratio(0.01);
    let telemetry = redspan::builder()
        .tail(policy)
        .spans_to(kept.clone())
        .logs(redspan::log::layer().with_writer(lines.clone()))
        .install()
        .unwrap();

    let mut fates = HashMap::new();
    for n in 0..10_000_u32 {
        let fate = match n % 500 {
            0 => Fate::Error,
            1 => Fate::Panic,
            2 => Fate::Cancelled,
            3 => Fate::Slow,
            _ => Fate::Fine,
        };
        fates.insert(request(fate, n % 100 < 4), fate);
        if n % 100 == 0 {
            telemetry.flush(Duration::from_secs(10));
        }
    }
    // What is dropped hides nothing that is kept, be it of the same moment.
    let mut rounds = 0;
    for _ in 0..20 {
        for _ in 0..5 {
            fates.insert(request(Fate::Fine, false), Fate::Fine);
        }
        let grave = request(Fate::Error, false);
        fates.insert(grave, Fate::Error);
        assert!(telemetry.flush(Duration::from_secs(10)));
        rounds += usize::from(shown_by("decided_total") == [grave.to_string()]);
    }
    // Now and then one of the others is kept for the ratio.
    assert!(rounds > 10, "{rounds}");

    // Begun, and never ended: it must not keep anything waiting.
    let mut endless = Box::pin(waits());
    let waker = std::task::Waker::noop();
    let _ = endless.as_mut().poll(&mut std::task::Context::from_waker(waker));
    tracing::info!("outside");
    request(Fate::Fine, false);
    assert!(telemetry.flush(Duration::from_secs(10)));

    let spans = kept.0.lock().unwrap().clone();
    let mut traces: HashMap<TraceId, Vec<&SpanData>> = HashMap::new();
    for span in &spans {
        traces.entry(span.span_context.trace_id()).or_default().push(span);
    }
    let mut fine = 0;
    for (trace, &fate) in &fates {
        let Some(spans) = traces.get(trace) else {
            assert_eq!(fate, Fate::Fine, "every grave trace is kept");
            continue;
        };
        let ids: HashSet<SpanId> = spans.iter().map(|span| id(span)).collect();
        let orphans = spans.iter().filter(|span| {
            span.parent_span_id != SpanId::INVALID && !ids.contains(&span.parent_span_id)
        });
        assert_eq!(orphans.count(), 0, "{fate:?}: kept whole");
        let more = matches!(fate, Fate::Error | Fate::Panic | Fate::Cancelled);
        assert_eq!(spans.len(), 5 + usize::from(more), "{fate:?}");
        let root = spans.iter().find(|span| span.parent_span_id == SpanId::INVALID).unwrap();
        let why = kept_because(root).unwrap();
        match fate {
            Fate::Fine => fine += 1,
            fate => assert_eq!(why, format!("{fate:?}").to_lowercase()),
        }
    }
    assert!((40..200).contains(&fine), "a hundredth of ten thousand: {fine}");

    let stats = telemetry.spans();
    assert_eq!(stats.exported, spans.len() as u64);
    assert_eq!(stats.sampled, stats.running + stats.pending + stats.exported + stats.dropped());
    assert_eq!((stats.running, stats.pending), (1, 0), "{stats:?}");
    assert_eq!(stats.dropped.keys().copied().collect::<Vec<_>>(), ["tail_not_kept"]);
    let site = redspan::catalog().find(|site| site.function() == "request").unwrap();
    assert_eq!(site.red().started(), 10_121, "counted before kept");
    for site in redspan::catalog() {
        if let Some(exemplar) = site.red().exemplar() {
            assert!(traces.contains_key(&exemplar.trace_id), "no exemplar dangles");
        }
    }
    drop(telemetry);
    let lines = lines.text();
    assert!(!lines.contains(r#""sampled":true"#), "nobody claims that a pending trace exists");
}
