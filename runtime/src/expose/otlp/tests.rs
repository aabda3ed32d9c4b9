use super::*;
use crate::metrics::histogram::Layout;
use crate::metrics::made::Description;
use crate::metrics::snapshot::Identity;
use crate::metrics::store::Store;
use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Label};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Point;
use std::time::Duration;

fn encoder(temporality: Temporality) -> Encoder {
    let resource = opentelemetry_sdk::Resource::builder_empty()
        .with_attribute(opentelemetry::KeyValue::new("service.name", "shop"))
        .build();
    Encoder::new(&resource, temporality, UNIX_EPOCH + Duration::from_secs(5))
}

fn gather(store: &Store) -> Snapshot {
    Snapshot::gather(store, &Identity { service_name: "shop".into(), ..Identity::default() })
}

/// The only request, how many points it has, and what is to be remembered if it is `taken`.
fn encode(
    encoder: &Encoder,
    snapshot: &Snapshot,
    state: &SentState,
    taken: bool,
) -> (ExportMetricsServiceRequest, usize, Draft) {
    let mut requests = Vec::new();
    let draft = encoder.encode(snapshot, state, |request, points| {
        requests.push((request, points));
        taken
    });
    let [(request, points)] = requests.try_into().expect("one is enough");
    (request, points, draft)
}

fn metrics(request: &ExportMetricsServiceRequest) -> BTreeMap<String, Metric> {
    let scopes = &request.resource_metrics[0].scope_metrics;
    scopes
        .iter()
        .flat_map(|scope| scope.metrics.iter())
        .map(|metric| (metric.name.clone(), metric.clone()))
        .collect()
}

fn sum(metric: &Metric) -> (&Sum, i64) {
    let Some(metric::Data::Sum(sum)) = &metric.data else { panic!("{metric:?} is no sum") };
    let value = sum.data_points.iter().map(|point| match point.value {
        Some(Point::AsInt(value)) => value,
        other => panic!("{other:?}"),
    });
    (sum, value.sum())
}

#[test]
fn differences_are_taken_to_what_was_taken() {
    let store = Store::scoped();
    let counter = store.counter(&Key::from_parts("c", &[("a.b", "x")])).unwrap();
    let histogram = store.histogram(&Key::from_name("h")).unwrap();
    let encoder = encoder(Temporality::Delta);
    let mut state = SentState::default();
    let mut step = |taken: bool| {
        counter.increment(3);
        histogram.record(0.5);
        let (request, _, draft) = encode(&encoder, &gather(&store), &state, taken);
        state.settle(draft);
        let metrics = metrics(&request);
        let (sum, value) = sum(&metrics["c"]);
        assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].attributes[0].key, "a.b", "not as Prometheus has it");
        let Some(metric::Data::Histogram(histogram)) = &metrics["h"].data else { panic!() };
        let point = &histogram.data_points[0];
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        (value, point.count, point.sum.unwrap(), point.start_time_unix_nano, point.time_unix_nano)
    };
    let first = step(true);
    assert_eq!((first.0, first.1), (3, 1));
    let second = step(true);
    assert_eq!((second.0, second.1, second.2), (3, 1, 0.5));
    assert_eq!(second.3, first.4, "begins where the last one ended");
    // The receiver is away: nothing is lost, nothing is said twice.
    assert_eq!(step(false).0, 3);
    let after = step(true);
    assert_eq!((after.0, after.1, after.3), (6, 2, second.4));
}

#[test]
fn nothing_new_is_no_point() {
    let store = Store::scoped();
    store.counter(&Key::from_name("c")).unwrap().increment(1);
    store.gauge(&Key::from_name("g")).unwrap().set(1.5);
    store.up_down(&Key::from_name("u")).unwrap().add(-2);
    let encoder = encoder(Temporality::Delta);
    let mut state = SentState::default();
    let (_, _, draft) = encode(&encoder, &gather(&store), &state, true);
    state.settle(draft);
    let (request, _, _) = encode(&encoder, &gather(&store), &state, true);
    let metrics = metrics(&request);
    assert!(!metrics.contains_key("c"));
    assert!(metrics.contains_key("g"));
    let (sum, value) = sum(&metrics["u"]);
    assert_eq!((sum.is_monotonic, value), (false, -2));
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
}

#[test]
fn scopes_and_typed_attributes_are_those_of_opentelemetrys_api() {
    let store = Store::scoped();
    let labels = [("otel_scope_name", "db"), ("otel_scope_version", "2"), ("port", "5432")];
    let key = Key::from_parts("q", &labels);
    let typed = || Some(Box::from([opentelemetry::KeyValue::new("port", 5432)]));
    store.series::<crate::metrics::series::Counter>(&key, typed).unwrap().add(1);
    let (request, points, _) =
        encode(&encoder(Temporality::Cumulative), &gather(&store), &SentState::default(), true);
    let resource = &request.resource_metrics[0];
    assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let scope = resource.scope_metrics.iter().find(|it| it.scope.as_ref().unwrap().name == "db");
    let scope = scope.unwrap();
    assert_eq!(scope.scope.as_ref().unwrap().version, "2");
    let attributes = &sum(&scope.metrics[0]).0.data_points[0].attributes;
    assert_eq!(attributes.len(), 1);
    let value = attributes[0].value.as_ref().unwrap().value.clone().unwrap();
    assert_eq!(value, AnyValueKind::IntValue(5432));
    assert_eq!(points, 2, "and build_info");
}

#[test]
fn an_exponential_histogram_stays_one() {
    let store = Store::scoped();
    let name = KeyName::from("e");
    let description = Description {
        layout: Some(Layout::Exponential),
        unit: "s".into(),
        ..Description::default()
    };
    store.define(Kind::Histogram, &name, description).unwrap();
    let histogram = store.histogram(&Key::from_name("e")).unwrap();
    for value in [0.0, 1.5, 3.0, -1.0] {
        histogram.record(value);
    }
    let (request, _, _) =
        encode(&encoder(Temporality::Cumulative), &gather(&store), &SentState::default(), true);
    let metric = &metrics(&request)["e"];
    assert_eq!(metric.unit, "s");
    let Some(metric::Data::ExponentialHistogram(held)) = &metric.data else { panic!() };
    let point = &held.data_points[0];
    assert_eq!((point.count, point.zero_count), (4, 1));
    assert_eq!(point.positive.as_ref().unwrap().bucket_counts.iter().sum::<u64>(), 2);
    assert_eq!(point.negative.as_ref().unwrap().bucket_counts.iter().sum::<u64>(), 1);
}

/// "Negative events can be recorded, but sum should not be filled out when doing so": OTLP's own words.
#[test]
fn a_sum_that_may_sink_is_not_said() {
    let store = Store::scoped();
    for (name, layout, value) in [
        ("plain", Layout::default(), 1.0),
        ("sunk", Layout::default(), -9.0),
        ("signed", Layout::explicit([-10.0, 0.0, 10.0]), 1.0),
        ("even", Layout::Exponential, 1.0),
        ("drift", Layout::Exponential, -1.0),
    ] {
        let description = Description { layout: Some(layout), ..Description::default() };
        store.define(Kind::Histogram, &KeyName::from(name), description).unwrap();
        let histogram = store.histogram(&Key::from_name(name)).unwrap();
        histogram.record(3.0);
        histogram.record(value);
    }
    let (request, _, _) =
        encode(&encoder(Temporality::Cumulative), &gather(&store), &SentState::default(), true);
    let metrics = metrics(&request);
    for (name, sum) in [
        ("plain", Some(4.0)),
        ("sunk", None),
        ("signed", None),
        ("even", Some(4.0)),
        ("drift", None),
    ] {
        let said = match &metrics[name].data {
            Some(metric::Data::Histogram(held)) => held.data_points[0].sum,
            Some(metric::Data::ExponentialHistogram(held)) => held.data_points[0].sum,
            other => panic!("{other:?}"),
        };
        assert_eq!(said, sum, "{name}");
    }
}

#[test]
fn a_series_that_a_collector_begins_while_it_is_looked_at_ends_no_earlier() {
    let collecting = crate::metrics::collect("looked at", |values: &mut crate::metrics::Values| {
        values.counter("looked.at").set_u64(5);
    });
    let encoder = encoder(Temporality::Cumulative);
    let (request, _, _) = encode(&encoder, &gather(Store::global()), &SentState::default(), true);
    collecting.stop();
    let metrics = metrics(&request);
    let (sum, value) = sum(&metrics["looked.at"]);
    let point = &sum.data_points[0];
    assert_eq!(value, 5);
    assert!(point.start_time_unix_nano <= point.time_unix_nano, "{point:?}");
}

#[test]
fn a_label_that_comes_twice_is_one_attribute() {
    let store = Store::scoped();
    let key = Key::from_parts("c", &[("a", "1"), ("b", "2"), ("a", "3")]);
    store.counter(&key).unwrap().increment(1);
    let encoder = encoder(Temporality::Cumulative);
    let (request, _, _) = encode(&encoder, &gather(&store), &SentState::default(), true);
    let metrics = metrics(&request);
    let shown = sum(&metrics["c"]).0.data_points[0].attributes.clone();
    assert_eq!(shown, [text("a", "1"), text("b", "2")], "the first, as on a page");
}

/// A counter whose points fill three requests and some more, one of one point, and a histogram.
fn many(store: &Store) -> (Vec<String>, impl Fn(&Store)) {
    let labels: Vec<String> = (0..140).map(|at| format!("{at:0>2000}")).collect();
    let more: Vec<Label> =
        (0..24).map(|at| Label::new(format!("m{at}"), "x".repeat(2_000))).collect();
    let key = |label: &String| {
        let first = Label::new("l", label.clone());
        Key::from_parts("c", [first].into_iter().chain(more.clone()).collect::<Vec<_>>())
    };
    let of: Vec<Key> = labels.iter().map(key).collect();
    let step = move |store: &Store| {
        for key in &of {
            store.counter(key).unwrap().increment(1);
        }
        store.counter(&Key::from_name("d")).unwrap().increment(1);
        store.histogram(&Key::from_name("h")).unwrap().record(0.5);
    };
    step(store);
    (labels, step)
}

/// By metric and first attribute: value or count, start and end.
fn told(request: &ExportMetricsServiceRequest) -> BTreeMap<String, (i64, u64, u64)> {
    let mut all = BTreeMap::new();
    let scopes = &request.resource_metrics[0].scope_metrics;
    for metric in scopes.iter().flat_map(|scope| &scope.metrics) {
        let label = |attributes: &[KeyValue]| format!("{}{:?}", metric.name, attributes.first());
        match &metric.data {
            Some(metric::Data::Sum(held)) => {
                assert_eq!(held.aggregation_temporality, AggregationTemporality::Delta as i32);
                for point in &held.data_points {
                    let Some(Point::AsInt(value)) = point.value else { panic!("{point:?}") };
                    let times = (point.start_time_unix_nano, point.time_unix_nano);
                    all.insert(label(&point.attributes), (value, times.0, times.1));
                }
            }
            Some(metric::Data::Histogram(held)) => {
                let point = &held.data_points[0];
                let times = (point.start_time_unix_nano, point.time_unix_nano);
                all.insert(label(&point.attributes), (point.count as i64, times.0, times.1));
            }
            _ => {}
        }
    }
    all
}

#[test]
fn of_several_requests_only_those_that_were_not_taken_are_told_again() {
    let store = Store::scoped();
    let (labels, step) = many(&store);
    let encoder = encoder(Temporality::Delta);
    let mut state = SentState::default();
    // In each round another one is refused, and once all are.
    let mut sums: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    let rounds = 8;
    for round in 0..rounds {
        if round > 0 {
            step(&store);
        }
        let mut requests = 0;
        let draft = encoder.encode(&gather(&store), &state, |request, points| {
            assert!(prost::Message::encoded_len(&request) <= MAX_REQUEST + 1_000, "{round}");
            assert!(!request.resource_metrics[0].resource.as_ref().unwrap().attributes.is_empty());
            let told = told(&request);
            assert!(points >= told.len() && points > 0);
            requests += 1;
            let taken = round == rounds - 1 || (round != 5 && requests != round + 1);
            for (series, (value, start, end)) in told.into_iter().filter(|_| taken) {
                let (sum, last) = sums.entry(series).or_default();
                assert!(*last == 0 || start == *last, "begins where the last one ended");
                (*sum, *last) = (*sum + value, end);
            }
            taken
        });
        state.settle(draft);
        assert!(requests == 4, "{requests}");
    }
    assert_eq!(sums.len(), labels.len() + 2);
    assert!(sums.values().all(|(sum, _)| *sum == rounds), "each is told once");
}

#[test]
fn what_a_slow_receiver_had_no_time_for_comes_first_in_the_next_export() {
    let store = Store::scoped();
    let (labels, _) = many(&store);
    // Totals are told whole each time, so that a round is as long as the one before.
    let encoder = encoder(Temporality::Cumulative);
    let slow: fn(usize, bool) -> bool = |sent, _| sent < 1;
    // It swallows requests which hold "c" with the last label, or takes its time for them.
    let chokes: fn(usize, bool) -> bool = |sent, last| sent < 1 && !last;
    for (name, takes, expected) in
        [("slow", slow, labels.len() + 2), ("chokes", chokes, labels.len() - 40)]
    {
        let mut state = SentState::default();
        let mut arrived = std::collections::BTreeSet::new();
        for _ in 0..12 {
            let mut requests = 0;
            let draft = encoder.encode(&gather(&store), &state, |request, _| {
                let all = series(&request);
                let taken = takes(requests, all.iter().any(|it| it.contains(&labels[139])));
                requests += 1;
                if taken {
                    arrived.extend(all);
                }
                taken
            });
            state.settle(draft);
        }
        assert!(arrived.len() >= expected, "{name}: {} of {}", arrived.len(), labels.len() + 2);
    }
}

fn series(request: &ExportMetricsServiceRequest) -> Vec<String> {
    let scopes = &request.resource_metrics[0].scope_metrics;
    let mut all = Vec::new();
    for metric in scopes.iter().flat_map(|scope| &scope.metrics) {
        let label = |attributes: &[KeyValue]| format!("{}{:?}", metric.name, attributes.first());
        match &metric.data {
            Some(metric::Data::Sum(held)) => {
                all.extend(held.data_points.iter().map(|point| label(&point.attributes)));
            }
            Some(metric::Data::Histogram(_)) => all.push(metric.name.clone()),
            _ => {}
        }
    }
    all
}
