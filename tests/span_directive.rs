//! `RUST_LOG` names a span in brackets: its site is let through, and only what it changes changes.

use redspan::instrumented;
use redspan_tests::{Kept, Lines};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, reload};

#[instrumented(fields(n, late = Empty))]
fn charge(n: u8, inside: impl FnOnce()) {
    tracing::Span::current().record("late", n);
    tracing::debug!("debug in charge");
    inside();
}

#[instrumented]
fn other() {
    tracing::debug!("debug in other");
    tracing::info!("info in other");
}

#[instrumented]
async fn waits(n: u8) {
    tokio::task::yield_now().await;
    charge(n, || ());
    tokio::task::yield_now().await;
    tracing::debug!("debug in waits");
}

struct Opened(Arc<Mutex<Vec<&'static str>>>);

impl<S: tracing::Subscriber> Layer<S> for Opened {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        self.0.lock().unwrap().push(attributes.metadata().name());
    }
}

#[test]
fn a_directive_with_a_span_reaches_inside_the_call_and_nowhere_else() {
    // SAFETY: the process has one thread that reads or writes the environment.
    unsafe { std::env::set_var("RUST_LOG", "info,[charge{n=7}]=debug") };
    let (kept, lines) = (Kept::default(), Lines::default());
    let opened = Arc::new(Mutex::new(Vec::new()));
    let (filter, handle) = reload::Layer::new(Targets::new());
    let telemetry = redspan::builder()
        .logs(redspan::log::layer().json().with_writer(lines.clone()))
        .layer(Opened(Arc::clone(&opened)).with_filter(filter))
        .spans_to(kept.clone())
        .install()
        .unwrap();

    other();
    charge(1, other);
    charge(7, other);
    other();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        tokio::join!(waits(7), waits(1));
        tokio::spawn(waits(7)).await.unwrap();
    });

    assert!(telemetry.flush(Duration::from_secs(20)));
    let text = lines.text();
    let times = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(times("debug in charge"), 3, "{text}");
    assert_eq!(times("debug in other"), 1, "{text}");
    assert_eq!(times("info in other"), 4, "{text}");
    assert_eq!(times("debug in waits"), 0, "{text}");
    {
        let spans = kept.0.lock().unwrap();
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((count("charge"), count("other"), count("waits")), (5, 4, 3));
        for span in spans.iter().filter(|span| span.name == "charge") {
            let has = |key: &str| span.attributes.iter().any(|pair| pair.key.as_str() == key);
            assert!(has("n") && has("late"), "{span:?}");
        }
        let in_charge = spans.iter().flat_map(|span| &span.events.events);
        assert_eq!(in_charge.filter(|event| event.name == "debug in charge").count(), 3);
    }

    // A filter that is changed while the program runs reaches sites that were registered before.
    assert_eq!(*opened.lock().unwrap(), [""; 0]);
    handle.reload(Targets::new().with_default(LevelFilter::INFO)).unwrap();
    charge(1, other);
    assert_eq!(*opened.lock().unwrap(), ["charge", "other"]);
    handle.reload(Targets::new()).unwrap();
    charge(1, other);
    assert_eq!(opened.lock().unwrap().len(), 2);
    assert!(telemetry.flush(Duration::from_secs(20)));
    let spans = kept.0.lock().unwrap();
    assert_eq!(spans.iter().filter(|span| span.name == "charge").count(), 7);
}
