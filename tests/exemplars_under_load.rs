//! Of the values that spans measure at one moment one is carried, and no exemplar is missed for it.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use redspan::{Telemetry, instrumented};
use redspan_tests::Lines;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// Past what one candidate hides.
const NEXT: Duration = Duration::from_millis(2);

static LOSES: AtomicBool = AtomicBool::new(false);

struct Exporter;

impl SpanSink for Exporter {
    fn describe(&self) -> String {
        "one that loses what it is told to".into()
    }

    fn export(&mut self, _: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        match LOSES.load(Relaxed) {
            true => Err(ExportError::new("other", "told to")),
            false => Ok(()),
        }
    }
}

static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| {
    let logs = redspan::log::layer().with_writer(Lines::default());
    redspan::builder().spans_to(Exporter).logs(logs).install().unwrap()
});

/// One test at a time: they share the exporter.
fn alone(test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&TELEMETRY);
    test();
}

fn here() -> SpanId {
    Context::current().span().span_context().span_id()
}

/// The spans that the exemplars of a family name.
fn exemplars(family: &str) -> BTreeSet<String> {
    exemplars_with(family, "")
}

/// As [`exemplars`], of series with this label.
fn exemplars_with(family: &str, label: &str) -> BTreeSet<String> {
    assert!(TELEMETRY.flush(Duration::from_secs(10)));
    let page = redspan::recorder().render_openmetrics();
    let shown = page.lines().filter(|line| line.starts_with(family) && line.contains(label));
    let ids = shown.filter_map(|line| line.split("span_id=\"").nth(1)?.split('"').next());
    ids.map(str::to_owned).collect()
}

#[instrumented]
fn measures(family: &'static str) -> SpanId {
    metrics::histogram!(family).record(0.2);
    here()
}

#[test]
fn what_is_measured_often_in_a_span_leaves_room_for_what_is_measured_once() {
    #[instrumented]
    fn measures_both() -> SpanId {
        for _ in 0..20 {
            metrics::histogram!("often").record(0.2);
        }
        metrics::counter!("once").increment(1);
        here()
    }
    alone(|| {
        // More than one, since a thread may be kept waiting in the middle of it.
        let has_room = (0..50).any(|_| {
            sleep(NEXT);
            let span = measures_both().to_string();
            exemplars("once_total").contains(&span)
        });
        assert!(has_room);
    });
}

#[test]
fn each_collection_finds_an_exemplar_of_what_came_since_the_last() {
    alone(|| {
        for _ in 0..50 {
            sleep(NEXT);
            let spans: BTreeSet<_> = (0..100).map(|_| measures("fresh").to_string()).collect();
            let shown = exemplars("fresh_bucket");
            assert!(!shown.is_empty() && shown.is_subset(&spans), "{shown:?}");
        }
    });
}

#[test]
fn buckets_do_not_hide_each_other() {
    #[instrumented]
    fn measures_two() -> SpanId {
        metrics::histogram!("sizes").record(0.2);
        metrics::histogram!("sizes").record(20.0);
        here()
    }
    #[instrumented]
    fn measures_others() -> SpanId {
        metrics::histogram!("sizes").record(2.0);
        metrics::histogram!("sizes").record(20.0);
        here()
    }
    alone(|| {
        let both = BTreeSet::from([measures_two().to_string(), measures_others().to_string()]);
        assert_eq!(exemplars("sizes_bucket"), both);
    });
}

#[test]
fn a_span_that_takes_nothing_hides_none_that_does() {
    #[instrumented]
    fn ends() -> Context {
        Context::current()
    }
    alone(|| {
        let ended = ends();
        let flags = TraceFlags::default();
        let ids = (TraceId::from(1), SpanId::from(1));
        let unsampled = SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE);
        let unsampled = Context::new().with_remote_span_context(unsampled);
        for _ in 0..20 {
            sleep(NEXT);
            for nobody in [&ended, &unsampled] {
                let _there = nobody.clone().attach();
                metrics::histogram!("hidden").record(0.2);
            }
            {
                let _below = unsampled.clone().attach();
                measures("hidden");
            }
            metrics::histogram!("hidden").record(0.2);
            let span = measures("hidden").to_string();
            assert_eq!(exemplars("hidden_bucket"), BTreeSet::from([span]));
        }
    });
}

#[test]
fn each_collection_finds_an_exemplar_of_each_kind_of_call() {
    #[derive(redspan::ErrorType, Debug)]
    enum Fails {
        #[error_type(client)]
        Early,
        #[error_type(server)]
        Late,
    }
    #[instrumented]
    fn called(slow: bool, fails: Option<Fails>, span: &mut String) -> Result<(), Fails> {
        *span = here().to_string();
        if slow {
            sleep(Duration::from_millis(30));
        }
        fails.map_or(Ok(()), Err)
    }
    const CALLED: &str = "function=\"called\"";
    let call = |slow, fails| {
        let mut span = String::new();
        let _ = called(slow, fails, &mut span);
        span
    };
    alone(|| {
        for _ in 0..5 {
            sleep(NEXT);
            let mut quick: BTreeSet<_> = (0..200).map(|_| call(false, None)).collect();
            let slow = call(true, None);
            let [early, late] = [Fails::Early, Fails::Late].map(|it| call(false, Some(it)));
            let shown = exemplars_with("function_calls_duration_seconds_bucket", CALLED);
            quick.extend([early.clone(), late.clone()]);
            assert!(shown.contains(&slow) && !shown.is_disjoint(&quick), "{shown:?}");
            let shown = exemplars_with("function_calls_total", CALLED);
            assert_eq!(shown, BTreeSet::from([slow, early, late]));
        }
    });
}

#[test]
fn after_a_span_that_was_lost_the_next_moment_brings_another() {
    alone(|| {
        for _ in 0..10 {
            sleep(NEXT);
            LOSES.store(true, Relaxed);
            let lost = measures("recovers").to_string();
            let shown = exemplars("recovers_bucket");
            LOSES.store(false, Relaxed);
            assert!(!shown.contains(&lost));
            sleep(NEXT);
            let span = BTreeSet::from([measures("recovers").to_string()]);
            assert_eq!(exemplars("recovers_bucket"), span);
            assert_eq!(exemplars_with("function_calls_total", "function=\"measures\""), span);
        }
    });
}

#[test]
fn each_label_set_has_its_own() {
    #[instrumented]
    fn measures_of(shop: &'static str) -> SpanId {
        metrics::counter!("sold", "shop" => shop).increment(1);
        here()
    }
    alone(|| {
        let each: BTreeSet<_> = ["a", "b", "c"].map(|shop| measures_of(shop).to_string()).into();
        assert_eq!(exemplars("sold_total"), each);
    });
}
