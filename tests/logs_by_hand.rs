//! The logging examples, and what they take by hand with tracing-subscriber's JSON layer: the same lines,
//! at least twice the program.

use redspan_tests::{process, skipped};
use serde_json::{Map, Value};
use std::process::Command;

/// A program of `examples/` as text, and its like of `tests/logs_by_hand/` as a module of this test.
macro_rules! program {
    ($module:ident, $name:literal) => {
        mod $module {
            include!(concat!("logs_by_hand/", $name, ".rs"));

            pub(super) fn by_hand() {
                let _ = main();
            }

            pub(super) const NAME: &str = $name;
            pub(super) const OURS: &str = include_str!(concat!("../examples/", $name, ".rs"));
            pub(super) const BY_HAND: &str = include_str!(concat!("logs_by_hand/", $name, ".rs"));
        }
    };
}

program!(formats, "log_formats");
program!(operations, "log_operations");
program!(orders, "log_orders");
program!(requests, "log_requests");

/// Lines of code: neither empty nor a comment.
fn length(program: &str) -> usize {
    let lines = program.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn each_example_is_at_most_half_as_long_as_by_hand() {
    for (name, ours, by_hand) in [
        (formats::NAME, formats::OURS, formats::BY_HAND),
        (operations::NAME, operations::OURS, operations::BY_HAND),
        (orders::NAME, orders::OURS, orders::BY_HAND),
        (requests::NAME, requests::OURS, requests::BY_HAND),
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

/// What the example prints, where it is built, as `cargo test` does.
fn printed_by_example(name: &str) -> Option<String> {
    let test = std::env::current_exe().expect("this program");
    let program = test.parent()?.parent()?.join("examples").join(name);
    if !program.exists() {
        skipped(&format!("{} is not built", program.display()), "`cargo build --examples`");
        return None;
    }
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    let output = command.output().expect("an example");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("lines are text"))
}

/// What a program printed, made comparable.
fn lines(printed: &str) -> Vec<Map<String, Value>> {
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
        // A type's path begins with where the program stands.
        if let Some(Value::String(kind)) = line.get_mut("error.type") {
            *kind = kind.rsplit("::").next().unwrap().to_owned();
        }
        line.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    }
    lines
}

fn same(test: &str, count: usize, name: &str, by_hand: fn()) {
    if process::is_alone(test) {
        return by_hand();
    }
    let Some(ours) = printed_by_example(name) else { return };
    let (ours, by_hand) = (lines(&ours), lines(&process::run(test, &[])));
    assert_eq!(ours, by_hand);
    assert_eq!(ours.len(), count, "{ours:#?}");
}

#[test]
fn both_forms_of_formats_say_the_same() {
    same("both_forms_of_formats_say_the_same", 2, formats::NAME, formats::by_hand);
}

#[test]
fn both_forms_of_operations_say_the_same() {
    same("both_forms_of_operations_say_the_same", 4, operations::NAME, operations::by_hand);
}

#[test]
fn both_forms_of_orders_say_the_same() {
    same("both_forms_of_orders_say_the_same", 4, orders::NAME, orders::by_hand);
}

#[test]
fn both_forms_of_requests_say_the_same() {
    same("both_forms_of_requests_say_the_same", 4, requests::NAME, requests::by_hand);
}
