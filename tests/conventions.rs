//! Every name that leaves is published by OpenTelemetry's conventions, or is one of redspan's own that
//! its documentation lists; and what the conventions require is there.
//!
//! A service with HTTP, SQL, functions, process and runtime numbers runs in a process of its own; a real
//! receiver and its `/metrics` page show what leaves.

#[path = "conventions/service.rs"]
mod service;

use redspan_tests::conventions::{Names, on_a_page};
use redspan_tests::postgres::Postgres;
use redspan_tests::{Point, Receiver, Record, Span, Value, process, skipped};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

const OWN: &str = include_str!("../runtime/src/guide/names.md");

type Attributes = BTreeMap<String, Value>;

fn number(attributes: &Attributes, name: &str) -> Option<i64> {
    match attributes.get(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

/// What the conventions require of a span, and is not so.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>
/// <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>
fn missing(span: &Span) -> Vec<String> {
    let has = |name: &str| span.attributes.contains_key(name);
    let mut required: Vec<&str> = Vec::new();
    let status = number(&span.attributes, "http.response.status_code");
    let mut fails = span.status == "error" || has("redspan.outcome");
    if has("http.request.method") {
        required.push("url.scheme");
        if span.kind == "server" {
            required.extend(["url.path", "network.protocol.version", "server.address"]);
            fails |= status.is_some_and(|status| status >= 500);
        } else {
            required = vec!["server.address", "server.port", "url.full"];
            fails |= status.is_some_and(|status| status >= 400);
            if status.is_some() {
                required.push("network.protocol.version");
            }
        }
        if span.name.contains(' ') {
            required.push(if span.kind == "server" { "http.route" } else { "url.template" });
        }
    }
    if has("db.system.name") && span.kind == "client" {
        required.extend(["db.operation.name", "db.query.summary", "db.query.text"]);
        if span.attributes["db.system.name"] != "sqlite" {
            required.extend(["db.namespace", "server.address", "server.port"]);
            // Whoever answers with an error says which; of what found no connection nobody has heard.
            let heard = span.attributes.get("error.type").is_none_or(|it| *it != "pool_timed_out");
            if span.status == "error" && heard {
                required.push("db.response.status_code");
            }
        }
    }
    if fails {
        required.push("error.type");
    }
    let missing = required.into_iter().filter(|name| !has(name));
    let mut found: Vec<_> =
        missing.map(|name| format!("span {}: {name} is missing", span.name)).collect();
    for name in ["http.response.status_code", "server.port", "db.response.returned_rows"] {
        if has(name) && number(&span.attributes, name).is_none() {
            found.push(format!("span {}: {name} is no number", span.name));
        }
    }
    found
}

fn of_point(names: &Names, point: &Point) -> Vec<String> {
    let name = &point.name;
    let Some(published) = names.metric(name) else {
        return if names.is_own(name) {
            point.attributes.keys().filter_map(|it| names.of_attribute(it)).collect()
        } else {
            vec![format!("metric {name}: unknown")]
        };
    };
    let mut found = Vec::new();
    let instrument = match (point.kind, point.monotonic) {
        ("sum", true) => "counter",
        ("sum", false) => "updowncounter",
        ("exponential", _) => "histogram",
        (kind, _) => kind,
    };
    if instrument != published.instrument {
        found.push(format!("metric {name}: {instrument}, not {}", published.instrument));
    }
    if point.unit != published.unit {
        found.push(format!("metric {name}: unit {}, not {}", point.unit, published.unit));
    }
    for attribute in point.attributes.keys() {
        if !published.attributes.contains_key(attribute) && !names.is_own(attribute) {
            found.push(format!("metric {name}: it has no attribute {attribute}"));
        }
    }
    for (attribute, &required) in &published.attributes {
        if required && !point.attributes.contains_key(attribute) {
            found.push(format!("metric {name}: {attribute} is missing"));
        }
    }
    // <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/> and database-metrics: the advice.
    let advised: &[f64] = match &**name {
        "http.server.request.duration" | "http.client.request.duration" => {
            &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
        }
        "db.client.operation.duration" => &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0],
        _ => return found,
    };
    if point.bounds != advised {
        found.push(format!("metric {name}: buckets {:?}", point.bounds));
    }
    if number(&point.attributes, "http.response.status_code").is_none()
        && point.attributes.contains_key("http.response.status_code")
    {
        found.push(format!("metric {name}: a status code that is no number"));
    }
    found
}

/// The names of a `/metrics` page that nobody has published.
fn of_page(names: &Names, points: &[Point], page: &str) -> Vec<String> {
    let mut families: BTreeSet<String> =
        names.metrics().map(|(name, metric)| on_a_page(name, &metric.unit)).collect();
    // How units of one's own are written is shown by what left over OTLP.
    families.extend(
        points
            .iter()
            .filter(|it| names.is_own(&it.name))
            .flat_map(|it| [on_a_page(&it.name, &it.unit), on_a_page(&it.name, "")]),
    );
    families.extend(names.own().map(str::to_owned));
    let mut found = Vec::new();
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let family = family.split(' ').next().unwrap_or_default();
            if !families.contains(family) {
                found.push(format!("page: {family} unknown"));
            }
        }
    }
    found
}

fn problems(
    names: &Names,
    spans: &[Span],
    points: &[Point],
    records: &[Record],
    page: &str,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut check = |place: &str, attributes: &Attributes| {
        let wrong = attributes.keys().filter_map(|name| names.of_attribute(name));
        found.extend(wrong.map(|wrong| format!("{place}: {wrong}")));
    };
    for span in spans {
        check("resource", &span.resource);
        check(&format!("span {}", span.name), &span.attributes);
        for event in &span.events {
            check(&format!("event {}", event.name), &event.attributes);
        }
        span.links.iter().for_each(|link| check("link", &link.attributes));
    }
    for point in points {
        check("resource", &point.resource);
    }
    // OpenTelemetry's own lines have names of its own.
    for record in records.iter().filter(|it| !it.scope.starts_with("opentelemetry")) {
        check("resource", &record.resource);
        check(&format!("line {:?}", record.body), &record.attributes);
    }
    found.extend(spans.iter().flat_map(missing));
    found.extend(points.iter().flat_map(|point| of_point(names, point)));
    found.extend(of_page(names, points, page));
    found
}

#[test]
fn every_name_that_leaves_is_published_or_our_own() {
    let test = "every_name_that_leaves_is_published_or_our_own";
    if process::is_alone(test) {
        return service::run();
    }
    let postgres = Postgres::is_there().then(Postgres::start);
    let receiver = Receiver::start();
    let page = std::env::temp_dir().join(format!("redspan-page-{}", std::process::id()));
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()),
        ("OTEL_METRICS_EXPORTER", "otlp".to_owned()),
        ("OTEL_LOGS_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100".to_owned()),
        (service::PAGE, page.to_str().unwrap().to_owned()),
    ];
    variables.extend(postgres.as_ref().map(|it| (service::DATABASE, it.url())));
    process::run(test, &variables);
    let text = std::fs::read_to_string(&page).unwrap();
    let _ = std::fs::remove_file(page);
    let (spans, points) = (receiver.spans(), receiver.take_points());
    let records = receiver.take_records();

    let found = problems(&Names::read(OWN), &spans, &points, &records, &text);
    // What the service invents, so that this test is known to see it.
    let invented = [
        "span GET /things/{id}: attribute invented.colour: unknown",
        "metric invented.things: unknown",
        "page: invented_things unknown",
    ];
    assert_eq!(found, invented.map(str::to_owned).into(), "{found:#?}");

    service::check_spans(&spans, postgres.is_some());
    for name in service::METRICS {
        let of_database = name.starts_with("db.client.connection");
        assert!(
            points.iter().any(|point| point.name == name) || (of_database && postgres.is_none()),
            "{name} did not leave"
        );
        assert!(text.contains(&name.replace('.', "_")), "{name} is not on the page");
    }
}

#[test]
fn whatever_wrk_sends_is_counted() {
    let test = "whatever_wrk_sends_is_counted";
    if process::is_alone(test) {
        return service::under_wrk();
    }
    if Command::new("wrk").arg("-v").output().is_err() {
        return skipped("wrk is not installed", "apt-get install wrk");
    }
    let receiver = Receiver::start();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()),
        ("OTEL_METRICS_EXPORTER", "otlp".to_owned()),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
        ("OTEL_TRACES_SAMPLER_ARG", "0.01".to_owned()),
    ];
    let printed = process::run(test, &variables);
    let sent: u64 = printed
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())
        .unwrap_or_else(|| panic!("{printed}"));
    let mut counted = BTreeMap::new();
    let mut active = BTreeMap::new();
    for point in receiver.take_points() {
        match &*point.name {
            "http.server.request.duration" => counted.insert(point.series(), point.count),
            "http.server.active_requests" => active.insert(point.series(), point.value as u64),
            _ => None,
        };
    }
    let counted: u64 = counted.values().sum();
    // Those that were on their way when it stopped are not in its number.
    let on_their_way = u64::from(service::CONNECTIONS);
    assert!((sent..=sent + on_their_way).contains(&counted), "{counted} of {sent}");
    assert_eq!(active.values().sum::<u64>(), 0);
    assert!(receiver.wait_for(1, Duration::from_secs(10)).len() < counted as usize / 10);
}
