//! The logging examples, and what they take by hand with tracing-subscriber's JSON layer: the same lines,
//! at least twice the program.

use redspan_tests::process;
use serde_json::{Map, Value};

/// A program of `examples/`, or its like of `tests/logs_by_hand/`, as a module of this test.
macro_rules! program {
    ($module:ident, $path:literal) => {
        mod $module {
            include!($path);

            pub(super) fn run() {
                let _ = main();
            }

            pub(super) const TEXT: &str = include_str!($path);
        }
    };
}

program!(formats, "../examples/log_formats.rs");
program!(formats_by_hand, "logs_by_hand/log_formats.rs");
program!(operations, "../examples/log_operations.rs");
program!(operations_by_hand, "logs_by_hand/log_operations.rs");
program!(orders, "../examples/log_orders.rs");
program!(orders_by_hand, "logs_by_hand/log_orders.rs");
program!(requests, "../examples/log_requests.rs");
program!(requests_by_hand, "logs_by_hand/log_requests.rs");

/// Lines of code: neither empty nor a comment.
fn length(program: &str) -> usize {
    let lines = program.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn each_example_is_at_most_half_as_long_as_by_hand() {
    for (name, ours, by_hand) in [
        ("log_formats", formats::TEXT, formats_by_hand::TEXT),
        ("log_operations", operations::TEXT, operations_by_hand::TEXT),
        ("log_orders", orders::TEXT, orders_by_hand::TEXT),
        ("log_requests", requests::TEXT, requests_by_hand::TEXT),
    ] {
        let (ours, by_hand) = (length(ours), length(by_hand));
        println!("{name}: {ours} lines, by hand {by_hand}");
        assert!(2 * ours <= by_hand, "{name}: {ours} lines, by hand {by_hand}");
    }
}

/// What only one of them says: ids of traces; where JSON puts a span's fields; what takes no two runs alike.
const LEFT_OUT: [&str; 9] = [
    "timestamp",
    "target",
    "trace_id",
    "span_id",
    "trace_flags",
    "sampled",
    "service.name",
    // Counted to the end of the body, which by hand nobody does.
    "http.response.body.size",
    "span",
];

fn about_telemetry(line: &Map<String, Value>) -> bool {
    let target = line.get("target").and_then(Value::as_str).unwrap_or_default();
    target == "redspan" || target.starts_with("opentelemetry")
}

/// The lines of a program that was run on its own, made comparable.
fn lines(test: &str, part: &str) -> Vec<Map<String, Value>> {
    let printed = process::run(test, &[("PART", part.to_owned())]);
    let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines: Vec<Map<String, Value>> = lines
        .filter_map(|line| match line {
            // What telemetry says of itself.
            Value::Object(line) if !about_telemetry(&line) => Some(line),
            _ => None,
        })
        .collect();
    for line in &mut lines {
        if let Some(Value::Object(span)) = line.get("span").cloned() {
            line.extend(span.into_iter().filter(|(key, _)| key != "name"));
        }
        if let Some(level) = line.remove("severity") {
            line.insert("level".into(), level);
        }
        if let Some(took) = line.get_mut("duration_ms") {
            assert!(took.as_f64().unwrap() >= 0.0);
            *took = Value::Null;
        }
        // A type's path begins with where the program stands, here this test.
        if let Some(Value::String(kind)) = line.get_mut("error.type") {
            *kind = kind.rsplit("::").next().unwrap().to_owned();
        }
        line.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    }
    lines
}

fn same(test: &str, count: usize, ours: fn(), by_hand: fn()) {
    if process::is_alone(test) {
        match std::env::var("PART").as_deref() {
            Ok("ours") => ours(),
            _ => by_hand(),
        }
        return;
    }
    let (ours, by_hand) = (lines(test, "ours"), lines(test, "by hand"));
    assert_eq!(ours, by_hand);
    assert_eq!(ours.len(), count, "{ours:#?}");
}

#[test]
fn both_forms_of_formats_say_the_same() {
    same("both_forms_of_formats_say_the_same", 2, formats::run, formats_by_hand::run);
}

#[test]
fn both_forms_of_operations_say_the_same() {
    same("both_forms_of_operations_say_the_same", 4, operations::run, operations_by_hand::run);
}

#[test]
fn both_forms_of_orders_say_the_same() {
    same("both_forms_of_orders_say_the_same", 4, orders::run, orders_by_hand::run);
}

#[test]
fn both_forms_of_requests_say_the_same() {
    same("both_forms_of_requests_say_the_same", 4, requests::run, requests_by_hand::run);
}
