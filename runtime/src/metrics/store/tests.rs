use super::*;
use crate::label::OVERFLOW;
use crate::metrics::labels::MAX_VALUE;
use metrics::CounterFn;
use std::collections::BTreeMap;

pub(crate) fn store(names: usize, series_of_a_name: usize) -> Store {
    Store::new(Limits { names, series_of_a_name, series: 1_000 }, Some(Mutex::default()))
}

pub(crate) fn key(name: &str, user: usize) -> Key {
    Key::from_parts(name.to_owned(), &[("user", user.to_string())])
}

#[test]
fn label_sets_over_the_limit_share_one_series_and_are_counted() {
    let store = store(10, 3);
    for user in 0..10 {
        store.counter(&key("logins", user)).unwrap().increment(1);
    }
    // A known label set keeps its own.
    store.counter(&key("logins", 0)).unwrap().increment(1);
    // Other label names do not open another overflow series.
    let other = Key::from_parts("logins", &[("tenant", "a")]);
    store.counter(&other).unwrap().increment(1);
    let mut shown = Vec::new();
    store.counters.visit(|series| {
        let value = series.id.labels[0].value().to_owned();
        shown.push((value, series.value().as_f64() as u64));
    });
    shown.sort();
    let shown: Vec<_> = shown.iter().map(|(label, value)| (label.as_str(), *value)).collect();
    assert_eq!(shown, [("0", 2), ("1", 1), ("2", 1), (OVERFLOW, 8)]);
    assert_eq!(store.overflowed(), [("logins".to_owned(), 8)]);
}

#[test]
fn a_value_that_is_too_long_is_in_the_overflow_and_the_next_label_set_is_not() {
    let store = store(10, 2);
    let long = |byte: &str| Key::from_parts("c", &[("user", byte.repeat(MAX_VALUE + 1))]);
    for key in [long("a"), long("b"), Key::from_parts("c", &[("user", "a".repeat(MAX_VALUE))])] {
        store.counter(&key).unwrap().increment(1);
    }
    let mut shown = BTreeMap::new();
    store.counters.visit(|series| {
        let value = series.id.labels[0].value();
        shown.insert(value.len(), series.value().as_f64());
    });
    assert_eq!(shown, BTreeMap::from([(OVERFLOW.len(), 2.0), (MAX_VALUE, 1.0)]));
    assert_eq!(store.overflowed(), [("c".to_owned(), 2)]);
}

#[test]
fn names_over_the_limit_are_not_recorded_but_counted() {
    let store = store(2, 10);
    assert!(store.gauge(&key("a", 1)).is_some());
    assert!(store.counter(&key("b", 1)).is_some());
    assert!(store.histogram(&key("c", 1)).is_none());
    assert!(store.gauge(&key("a", 2)).is_some());
    assert_eq!(store.overflowed(), [(OVERFLOW.to_owned(), 1)]);
}

#[test]
fn many_threads_do_not_count_a_series_twice() {
    let store = store(10, 50);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for user in 0..50 {
                    store.counter(&key("c", user)).unwrap().increment(1);
                }
            });
        }
    });
    assert!(store.overflowed().is_empty());
    let mut sum = 0.0;
    store.counters.visit(|series| sum += series.value().as_f64());
    assert_eq!(sum, 400.0);
}

#[test]
fn who_comes_second_finds_a_metric_as_it_was_defined() {
    use crate::metrics::histogram::Layout;
    use std::sync::Barrier;
    let layout = || Some(Layout::explicit([3.0]));
    for _ in 0..300 {
        let (store, together) = (store(2, 2), Barrier::new(2));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    together.wait();
                    let description = Description { layout: layout(), ..Description::default() };
                    store.define(Kind::Histogram, &KeyName::from("h"), description).unwrap();
                    store.histogram(&Key::from_name("h")).unwrap().add(1.0, 1);
                });
            }
        });
        assert_eq!(store.histogram(&Key::from_name("h")).unwrap().read().lines(), 4);
    }
}

#[cfg(feature = "testing")]
#[test]
fn a_cached_handle_records_into_the_scope_it_is_used_in() {
    use crate::metrics::series::Number;
    use metrics::{GaugeFn, HistogramFn};
    use opentelemetry::Context;
    let (outer, scoped) = (Store::scoped(), Store::scoped());
    let counter = outer.counter(&key("c", 1)).unwrap();
    let gauge = outer.gauge(&key("g", 1)).unwrap();
    let histogram = outer.histogram(&key("h", 1)).unwrap();
    let _open = scope::Open::new();
    counter.increment(1);
    {
        let cx = Context::current_with_value(ScopedStore(scoped.clone()));
        let _attached = cx.attach();
        assert!(matches!(Store::current(), Current::Scoped(_)));
        counter.increment(5);
        gauge.set(2.0);
        histogram.record(1.0);
    }
    assert!(matches!(Store::current(), Current::Global(_)));
    assert_eq!((counter.value(), gauge.value()), (Number::Whole(1), 0.0));
    assert_eq!(histogram.read().count(), 0);
    assert_eq!(scoped.counter(&key("c", 1)).unwrap().value(), Number::Whole(5));
    assert_eq!(scoped.gauge(&key("g", 1)).unwrap().value(), 2.0);
    assert_eq!(scoped.histogram(&key("h", 1)).unwrap().read().sum(), 1.0);
}
