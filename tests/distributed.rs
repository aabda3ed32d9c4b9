//! One request through two processes and a database is one trace, at every ratio: a client such as a
//! browser asks the shop, the shop asks the warehouse, the warehouse asks PostgreSQL.

#[path = "distributed/services.rs"]
mod services;

use redspan_tests::postgres::Postgres;
use redspan_tests::process::{self, Beside};
use redspan_tests::{Point, Receiver, Record, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What one request leaves: whose, of which kind, and by what name; each below the one before.
const CHAIN: [(&str, &str, &str); 6] = [
    ("shop", "server", "POST /orders/{id}"),
    ("shop", "internal", "order"),
    ("shop", "client", "GET /stock/{id}"),
    ("warehouse", "server", "GET /stock/{id}"),
    ("warehouse", "internal", "stock"),
    ("warehouse", "client", "SELECT shelves"),
];

/// Beside the query: the wait for a connection.
const ASIDE: (&str, &str, &str) = ("warehouse", "internal", "acquire postgres");

/// What one client sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sent {
    /// No `traceparent`.
    Nothing,
    /// One that is recorded by its sender.
    Sampled,
    /// One that is not.
    Unsampled,
}

struct Shown {
    spans: Vec<Span>,
    records: Vec<Record>,
    points: Vec<Point>,
    /// The trace ids that clients gave, and how.
    sent: BTreeMap<String, Sent>,
    requests: u64,
}

fn service(of: &BTreeMap<String, redspan_tests::Value>) -> String {
    match of.get("service.name") {
        Some(redspan_tests::Value::Text(name)) => name.clone(),
        other => panic!("{other:?}"),
    }
}

/// Sends `requests` requests, by turns in each of the three ways.
fn run(test: &str, ratio: &str, requests: u64) -> Shown {
    let (receiver, postgres) = (Receiver::start(), Postgres::start());
    let variables = |name: &str, other: String| {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()),
            ("OTEL_SERVICE_NAME", name.to_owned()),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()),
            ("OTEL_METRICS_EXPORTER", "otlp".to_owned()),
            ("OTEL_LOGS_EXPORTER", "otlp".to_owned()),
            (services::OTHER, other),
        ]
    };
    let mut warehouse = Beside::start(test, &variables("warehouse", postgres.url()));
    let address = warehouse.ask(services::WHERE);
    let mut shop = Beside::start(test, &variables("shop", address));
    let sent = send(shop.ask(services::WHERE).parse().unwrap(), requests);
    shop.end();
    warehouse.end();
    let (spans, records) = (receiver.spans(), receiver.take_records());
    Shown { spans, records, points: receiver.take_points(), sent, requests }
}

#[tokio::main(flavor = "current_thread")]
async fn send(shop: std::net::SocketAddr, requests: u64) -> BTreeMap<String, Sent> {
    let client = reqwest::Client::new();
    let mut sent = BTreeMap::new();
    for n in 0..requests {
        let mut request = client.post(format!("http://{shop}/orders/{}", n % 10));
        let how = [Sent::Nothing, Sent::Sampled, Sent::Nothing, Sent::Unsampled][n as usize % 4];
        if how != Sent::Nothing {
            let trace_id = format!("{:032x}", (u128::from(n) + 1) << 64 | 0x5eed);
            let flags = if how == Sent::Sampled { "01" } else { "00" };
            request =
                request.header("traceparent", format!("00-{trace_id}-00000000000000aa-{flags}"));
            sent.insert(trace_id, how);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), format!("{} left", n % 10));
    }
    sent
}

/// Each trace is there as a whole: the chain, and the wait beside its end.
fn assert_whole(trace: &[&Span], from_client: bool) {
    let of = |span: &Span| (service(&span.resource), span.kind, span.name.clone());
    let is = |span: &Span, (service, kind, name): (&str, &str, &str)| {
        of(span) == (service.to_owned(), kind, name.to_owned())
    };
    let shown: Vec<_> = trace.iter().map(|span| of(span)).collect();
    assert_eq!(trace.len(), CHAIN.len() + 1, "{shown:#?}");
    let mut above: Option<&Span> = None;
    for link in CHAIN {
        let span = trace.iter().find(|span| is(span, link)).unwrap_or_else(|| panic!("{shown:#?}"));
        match above {
            None if from_client => assert_eq!(span.parent_id, "00000000000000aa"),
            None => assert_eq!(span.parent_id, ""),
            Some(above) => {
                assert_eq!(span.parent_id, above.span_id, "{}: {shown:#?}", span.name);
                assert!(above.start <= span.start, "{}", span.name);
            }
        }
        assert_eq!(span.status, "unset", "{span:?}");
        above = Some(*span);
    }
    let stock = trace.iter().find(|span| is(span, CHAIN[4])).unwrap();
    let wait = trace.iter().find(|span| is(span, ASIDE)).unwrap_or_else(|| panic!("{shown:#?}"));
    assert_eq!(wait.parent_id, stock.span_id);
}

/// The values of a metric: the last of each series, added up.
fn counted(points: &[Point], service_name: &str, name: &str, attribute: (&str, &str)) -> u64 {
    let mut last = BTreeMap::new();
    for point in points {
        if point.name == name
            && service(&point.resource) == service_name
            && (attribute.0.is_empty() || point.attribute(attribute.0) == attribute.1)
        {
            let count = if point.kind == "histogram" { point.count } else { point.value as u64 };
            last.insert(point.series(), count);
        }
    }
    last.values().sum()
}

fn check(shown: &Shown) -> usize {
    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in &shown.spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    for (trace_id, trace) in &traces {
        assert_whole(trace, shown.sent.contains_key(*trace_id));
    }
    for (trace_id, sent) in &shown.sent {
        // Who sends a decision is followed.
        assert_eq!(traces.contains_key(&**trace_id), *sent == Sent::Sampled, "{sent:?}");
    }
    // Lines are joined to their traces, whether these are recorded or not.
    let mut lines: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for record in &shown.records {
        if !record.trace_id.is_empty() {
            let line = (service(&record.resource), format!("{:?}", record.body));
            assert!(lines.entry(&record.trace_id).or_default().insert(line), "{record:?}");
            let trace = traces.get(&*record.trace_id);
            assert_eq!(record.flags & 1 == 1, trace.is_some(), "{record:?}");
            let span = trace.and_then(|it| it.iter().find(|span| span.span_id == record.span_id));
            assert_eq!(span.is_some(), trace.is_some(), "{record:?}");
        }
    }
    assert_eq!(lines.len() as u64, shown.requests);
    let both = [("shop", "Text(\"ordering\")"), ("warehouse", "Text(\"looking\")")];
    let both = both.map(|(service, line)| (service.to_owned(), line.to_owned()));
    assert!(lines.values().all(|of_trace| *of_trace == both.clone().into()), "{lines:#?}");

    // Numbers do not depend on sampling.
    let points = &shown.points;
    for (service, name, attribute) in [
        ("shop", "http.server.request.duration", ("http.route", "/orders/{id}")),
        ("shop", "http.client.request.duration", ("", "")),
        ("shop", "function.calls", ("function", "order")),
        ("warehouse", "http.server.request.duration", ("http.route", "/stock/{id}")),
        ("warehouse", "function.calls", ("function", "stock")),
        ("warehouse", "db.client.operation.duration", ("db.query.summary", "SELECT shelves")),
    ] {
        let all = counted(points, service, name, attribute);
        assert_eq!(all, shown.requests, "{service}: {name}");
    }
    traces.len()
}

#[test]
fn with_all_recorded_each_request_is_one_whole_trace() {
    let test = "with_all_recorded_each_request_is_one_whole_trace";
    if process::is_alone(test) {
        return services::run();
    }
    if Postgres::is_there() {
        let shown = run(test, "1", 40);
        // All but those whose client had decided otherwise.
        assert_eq!(check(&shown), 30);
    }
}

#[test]
fn with_a_tenth_recorded_each_trace_is_whole_or_absent() {
    let test = "with_a_tenth_recorded_each_trace_is_whole_or_absent";
    if process::is_alone(test) {
        return services::run();
    }
    if Postgres::is_there() {
        let shown = run(test, "0.1", 400);
        // A hundred are their clients' decision; of two hundred it is a tenth, more or less.
        let decided = check(&shown) - 100;
        assert!((4..=45).contains(&decided), "{decided} of 200");
    }
}
