//! Scopes are isolated from each other, and say what they did not see.

use redspan::{instrumented, testing};
use std::sync::{Arc, Barrier, LazyLock};

/// A handle that is kept: it must follow the scope all the same.
static ROLLED: LazyLock<metrics::Counter> = LazyLock::new(|| metrics::counter!("testing_rolled"));

#[instrumented(fields(who))]
fn works(who: u64) {
    tracing::info!(who, "at work");
    ROLLED.increment(who);
    let span = tracing::info_span!("foreign");
    let _in = span.enter();
    metrics::histogram!("testing_values").record(who as f64);
}

#[instrumented]
async fn works_later(who: u64, barrier: Arc<tokio::sync::Barrier>) {
    for _ in 0..20 {
        barrier.wait().await;
        works(who);
        tokio::task::yield_now().await;
    }
}

fn check(seen: &testing::Seen, who: u64, times: u64) {
    assert_eq!(seen.calls("works").ok, times);
    let spans = seen.spans_named("works");
    assert_eq!(spans.len() as u64, times);
    let value = opentelemetry::Value::from(who as i64);
    assert!(spans.iter().all(|span| span.attribute("who") == Some(value.clone())));
    assert_eq!(seen.spans_named("foreign").len() as u64, times);
    assert_eq!(seen.logs().len() as u64, times);
    assert!(seen.logs().iter().all(|line| line.field("who") == Some(&who.into())));
    assert_eq!(seen.counter("testing_rolled", &[]), Some(who * times));
    assert_eq!(seen.histogram("testing_values", &[]).map(|h| h.count), Some(times));
}

#[test]
fn two_scopes_at_once_do_not_see_each_other() {
    let barrier = Barrier::new(2);
    std::thread::scope(|threads| {
        for who in [3, 5] {
            let barrier = &barrier;
            threads.spawn(move || {
                let ((), seen) = testing::scope(|| {
                    for _ in 0..200 {
                        barrier.wait();
                        works(who);
                    }
                });
                check(&seen, who, 200);
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn futures_in_two_scopes_share_threads_and_nothing_else() {
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let scopes = [7, 11].map(|who| {
        let work = works_later(who, Arc::clone(&barrier));
        tokio::spawn(testing::scope_async(work))
    });
    for (who, scope) in [7, 11].into_iter().zip(scopes) {
        let ((), seen) = scope.await.unwrap();
        check(&seen, who, 20);
        assert_eq!(seen.calls("works_later").ok, 1);
        assert_eq!(seen.parent_of(&seen.spans_named("works")[0]).unwrap().name(), "works_later");
    }
}

#[instrumented]
fn forgotten() {}

#[test]
fn what_ran_outside_is_named() {
    let ((), seen) = testing::scope(|| {
        std::thread::spawn(forgotten).join().unwrap();
    });
    assert_eq!(seen.calls("forgotten").started, 0);
    assert!(seen.outside().contains(&("testing::forgotten".to_owned(), 1)));
    let complaint = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        seen.assert_nothing_outside();
    }));
    let complaint = *complaint.unwrap_err().downcast::<String>().unwrap();
    assert!(complaint.contains("testing::forgotten"), "{complaint}");
}

#[test]
fn a_scope_in_a_scope_begins_anew() {
    let (inner, outer) = testing::scope(|| {
        works(1);
        let ((), inner) = testing::scope(|| works(2));
        inner
    });
    check(&outer, 1, 1);
    check(&inner, 2, 1);
    assert_eq!(inner.span("works").parent_id(), None);
}

#[derive(redspan::Labels)]
struct Sold {
    express: bool,
    #[label(cap = 10)]
    who: String,
}

#[derive(redspan::Metrics)]
#[metrics(prefix = "till")]
struct Till {
    /// What was sold.
    sold: redspan::metrics::Counter<Sold>,
    #[metric(unit = "s")]
    took: redspan::metrics::Histogram,
    open: redspan::metrics::UpDownCounter,
    #[metric(unit = "EUR")]
    change: redspan::metrics::Gauge,
}

#[test]
fn typed_handles_count_in_the_scope_they_are_used_in() {
    use redspan::Metrics;
    let till = Till::register().unwrap();
    let sell = |who: &str| {
        till.sold.with(&Sold { express: true, who: who.to_owned() }).add(2);
        till.took.record(0.5);
        till.open.increment();
        till.change.set(1.25);
    };
    let ((), seen) = testing::scope(|| {
        sell("ann");
        sell("bob");
    });
    sell("ann");
    assert_eq!(seen.counter("till.sold", &[("who", "ann"), ("express", "true")]), Some(2));
    assert_eq!(seen.counter("till_sold_total", &[("who", "bob")]), Some(2));
    assert_eq!(seen.histogram("till.took", &[]).map(|it| (it.count, it.sum)), Some((2, 1.0)));
    assert_eq!(seen.gauge("till.open", &[]), Some(2.0));
    assert_eq!(seen.gauge("till_change_EUR", &[]), Some(1.25));
}

#[test]
fn series_that_have_the_labels_asked_for_are_added_up() {
    let ((), seen) = testing::scope(|| {
        for (region, times) in [("eu", 3), ("us", 5)] {
            metrics::counter!("testing_sold", "region" => region).increment(times);
            metrics::gauge!("testing_open", "region" => region).set(times as f64);
            metrics::histogram!("testing_basket", "region" => region).record(times as f64);
        }
        works(1);
    });
    assert_eq!(seen.counter("testing_sold", &[]), Some(8));
    assert_eq!(seen.counter("testing_sold", &[("region", "us")]), Some(5));
    assert_eq!(seen.counter("testing_sold", &[("region", "asia")]), None);
    assert_eq!(seen.gauge("testing_open", &[]), Some(8.0));
    let basket = seen.histogram("testing_basket", &[]).expect("values");
    assert_eq!((basket.count, basket.sum), (2, 8.0));
    assert_eq!(seen.counter("function_calls", &[("function", "works")]), Some(1));
}

#[test]
fn who_installs_redspan_after_a_scope_is_told_of_the_scope() {
    let ((), _) = testing::scope(|| ());
    let error = redspan::init!().unwrap_err().to_string();
    assert!(error.contains("by the first testing scope"), "{error}");
}

#[test]
fn an_assertion_that_fails_names_the_line_of_the_test() {
    use std::panic::{self, AssertUnwindSafe, Location};
    use std::sync::mpsc;
    let ((), seen) = testing::scope(|| works(1));
    let span = seen.spans().remove(0);
    let (tell, told) = mpsc::channel();
    let (me, before) = (std::thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        // Other tests may fail meanwhile.
        match std::thread::current().id() == me {
            true => drop(tell.send(panic.location().map(Location::file).unwrap_or("").to_owned())),
            false => before(panic),
        }
    }));
    for fails in [
        &(|| drop(seen.span("none"))) as &dyn Fn(),
        &|| _ = seen.calls("none"),
        &|| drop(seen.log("none")),
        &|| drop(span.event("none").name.clone()),
    ] {
        assert!(panic::catch_unwind(AssertUnwindSafe(fails)).is_err());
        assert_eq!(told.try_recv().as_deref(), Ok(file!()));
    }
    drop(panic::take_hook());
}
