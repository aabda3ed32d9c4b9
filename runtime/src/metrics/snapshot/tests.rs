use super::*;
use crate::callsite::{CallSite, REST, Rest, SETTINGS, Settings};
use crate::metrics::made::Description;
use crate::outcome::Outcome;
use crate::red::labelled::{Choice, Place};
use metrics::{CounterFn, HistogramFn, Key, Unit};
use opentelemetry::trace::{SpanId, TraceId};

static FIRST: CallSite = site("charge");
static SECOND: CallSite = site("charge");
static NEVER: CallSite = site("refund");

static TOLD: CallSite =
    CallSite { rest: Rest::of(Settings { returned: &["tier"], ..SETTINGS }), ..site("told") };

const fn site(function: &'static str) -> CallSite {
    let (module, file) = ("shop::pay", "pay.rs");
    CallSite { name: function, function, module, file, line: 1, fields: &[], rest: REST }
}

fn gather(store: &Store) -> Snapshot {
    let identity = Identity { service_name: "shop".into(), ..Identity::default() };
    Snapshot::gather(store, &identity)
}

fn family<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Family {
    snapshot.families.iter().find(|family| family.name == name).expect(name)
}

fn label<'a>(series: &'a Series, name: &str) -> &'a str {
    series.labels.iter().find(|label| label.key() == name).map_or("", |label| label.value())
}

#[test]
fn sites_with_the_same_labels_are_one_series() {
    let store = Store::scoped();
    for site in [&FIRST, &SECOND] {
        let cells = store.cells(site);
        cells.start(0);
        cells.end(Place::default(), site.bounds(), Outcome::Panic, None, 2_000_000);
        cells.start(0);
    }
    store.cells(&NEVER);
    let snapshot = gather(&store);
    let calls = family(&snapshot, "function_calls");
    assert_eq!(calls.series.len(), 8, "each outcome of each function, zero included");
    for series in &calls.series {
        let Value::Counter { value, .. } = series.value else { panic!() };
        let panicked = label(series, "function") == "charge" && label(series, "outcome") == "panic";
        assert_eq!(value, Number::Whole(if panicked { 2 } else { 0 }));
        if panicked {
            assert_eq!(label(series, "result"), "error");
            assert_eq!(label(series, "module"), "shop::pay");
            assert_eq!(label(series, "service_name"), "shop");
        }
    }
    let concurrent = family(&snapshot, "function_calls_concurrent");
    assert!(matches!(concurrent.series[0].value, Value::Gauge(2.0)));
    let durations = family(&snapshot, "function_calls_duration_seconds");
    let Value::Histogram(buckets) = &durations.series[0].value else { panic!() };
    assert_eq!(buckets.held.count(), 2);
    assert_eq!(durations.head().unit_words().as_deref(), Some("seconds"));
}

#[test]
fn a_counters_exemplar_is_the_step_it_made() {
    let store = Store::scoped();
    let exemplar = Exemplar {
        trace_id: TraceId::from_bytes([1; 16]),
        span_id: SpanId::from_bytes([2; 8]),
        value: 0.25,
        time: SystemTime::now(),
    };
    let took = (250_000_000, exemplar.time.into());
    store
        .cells(&FIRST)
        .cells(Place::default())
        .publish(FIRST.bounds(), Outcome::Ok, took, || exemplar);
    let snapshot = gather(&store);
    let shown: Vec<_> = family(&snapshot, "function_calls")
        .series
        .iter()
        .filter_map(|series| match series.value {
            Value::Counter { exemplar, .. } => exemplar,
            _ => None,
        })
        .collect();
    assert_eq!(shown, [Exemplar { value: 1.0, ..exemplar }]);
    let durations = family(&snapshot, "function_calls_duration_seconds");
    let Value::Histogram(buckets) = &durations.series[0].value else { panic!() };
    let shown: Vec<_> = buckets.exemplars.iter().filter_map(|slot| slot.get()).collect();
    assert_eq!(shown, [exemplar]);
}

#[test]
fn who_came_first_keeps_the_name() {
    let store = Store::scoped();
    store.counter(&Key::from_name("a_b_total")).unwrap().increment(1);
    assert!(store.counter(&Key::from_name("a.b")).is_none());
    assert!(store.gauge(&Key::from_name("a_b_total")).is_none());
    assert!(store.histogram(&Key::from_name("a_b")).is_none());
    assert!(store.gauge(&Key::from_name("function_calls_total")).is_none());
    let snapshot = gather(&store);
    let names: Vec<_> = snapshot.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["a_b", "build_info"]);
    assert!(matches!(
        snapshot.families[0].series[0].value,
        Value::Counter { value: Number::Whole(1), .. }
    ));
}

#[test]
fn series_that_become_equal_are_shown_once() {
    let store = Store::scoped();
    for name in ["x.y", "x_y"] {
        store.counter(&Key::from_parts("c", &[(name, "1")])).unwrap().increment(1);
    }
    assert_eq!(family(&gather(&store), "c").series.len(), 1);
}

#[test]
fn a_unit_is_shown_if_the_name_ends_in_it() {
    let store = Store::scoped();
    for (name, unit) in
        [("wait_seconds", Unit::Seconds), ("wait", Unit::Seconds), ("bytes", Unit::Bytes)]
    {
        let key = Key::from_name(name);
        store.describe(Kind::Histogram, &key.name_shared(), Some(unit), "help".into());
        store.histogram(&key).unwrap().record(f64::NAN);
    }
    let snapshot = gather(&store);
    assert_eq!(family(&snapshot, "wait_seconds").head().unit_words().as_deref(), Some("seconds"));
    assert_eq!(family(&snapshot, "wait_seconds").help, "help");
    assert_eq!(family(&snapshot, "wait").head().unit_words().as_deref(), None);
    assert_eq!(family(&snapshot, "bytes").head().unit_words().as_deref(), None);
    assert_eq!(family(&snapshot, "redspan_metric_refused").series.len(), 3);
}

#[test]
fn names_and_labels_beyond_all_bounds_are_not_recorded_but_counted() {
    let store = Store::scoped();
    let long = "n".repeat(1 << 20);
    let labels =
        |count: usize| -> Vec<_> { (0..count).map(|n| Label::new(format!("l{n}"), "v")).collect() };
    store.describe(Kind::Counter, &long.clone().into(), None, "help".into());
    for (key, fits) in [
        (Key::from_name(long.clone()), false),
        (Key::from_parts("label", vec![Label::new(long, "v")]), false),
        (Key::from_parts("labels", labels(129)), false),
        (Key::from_parts("enough", labels(128)), true),
        (Key::from_name("n".repeat(1_024)), true),
    ] {
        assert_eq!(store.counter(&key).is_some(), fits, "{}", &key.name()[..5]);
    }
    let page = gather(&store);
    let overflow = family(&page, "redspan_metric_overflow");
    assert_eq!(overflow.series.len(), 1);
    assert_eq!(store.overflowed(), [("__overflow__".to_owned(), 3)]);
}

#[test]
fn what_a_metric_says_of_itself_is_cut_where_it_has_no_end() {
    let store = Store::scoped();
    let long = "é".repeat(1 << 20);
    store.describe(Kind::Counter, &"told".into(), None, long.clone().into());
    let description = Description {
        help: long.clone().into(),
        unit: long.clone().into(),
        by_rules: true,
        ..Description::default()
    };
    assert!(store.define(Kind::Counter, &"defined".into(), description.clone()).is_ok());
    assert!(store.define(Kind::Counter, &long.clone().into(), description).is_ok());
    assert!(store.named(Kind::Counter, &long, |_| ()).is_none());
    for name in ["told", "defined"] {
        store.counter(&Key::from_name(name)).unwrap();
        let page = gather(&store);
        let help = &family(&page, name).help;
        assert_eq!((help.len(), help.ends_with("é…")), (4_099, true), "{name}");
    }
    assert!(gather(&store).families.iter().all(|it| it.name.len() < 100 && it.unit.len() < 100));
}

#[test]
fn labels_without_a_value_are_no_labels_and_no_second_series() {
    let store = Store::scoped();
    let cells = store.cells(&TOLD);
    let say = |text: &'static str| cells.returned(&[Choice::Capped { value: &text, most: 9 }]);
    for returned in [say("gold"), say(""), 0] {
        cells.start(0);
        let place = Place { returned, ..Place::default() };
        cells.end(place, TOLD.bounds(), Outcome::Ok, None, 2_000_000);
    }
    let snapshot = gather(&store);
    for name in ["function_calls", "function_calls_duration_seconds", "function_calls_concurrent"] {
        let series = &family(&snapshot, name).series;
        assert!(series.windows(2).all(|pair| pair[0].labels != pair[1].labels), "{series:#?}");
    }
    let calls = &family(&snapshot, "function_calls").series;
    let fine = calls.iter().filter(|series| label(series, "outcome") == "ok");
    let mut fine: Vec<_> = fine
        .map(|series| match series.value {
            Value::Counter { value: Number::Whole(value), .. } => (label(series, "tier"), value),
            _ => panic!("{series:?}"),
        })
        .collect();
    fine.sort_unstable();
    assert_eq!(fine, [("", 2), ("gold", 1)]);
}

#[test]
fn sites_with_the_same_labels_and_other_buckets_show_no_call_as_quicker_than_it_was() {
    static PLAIN: CallSite = site("report");
    static CHOSEN: CallSite = site("report");
    assert!(CHOSEN.choose_bounds(&[0.003, 60.0]));
    let store = Store::scoped();
    let ends = [(&PLAIN, [2, 2]), (&CHOSEN, [2, 30_000]), (&CHOSEN, [90_000, 90_000])];
    for (site, ends) in ends {
        for millis in ends {
            let cells = store.cells(site);
            cells.start(0);
            cells.end(Place::default(), site.bounds(), Outcome::Ok, None, millis * 1_000_000);
        }
    }
    let snapshot = gather(&store);
    let durations = family(&snapshot, "function_calls_duration_seconds");
    let Value::Histogram(buckets) = &durations.series[0].value else { panic!() };
    let Distribution::Explicit { bounds, counts, .. } = &buckets.held else { panic!() };
    assert_eq!((durations.series.len(), buckets.held.count()), (1, 6));
    let upto = |most: f64| {
        let within = bounds.iter().zip(counts).filter(|(bound, _)| **bound <= most);
        within.map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!([upto(0.001), upto(0.005), upto(10.0)], [0, 3, 3]);
}
