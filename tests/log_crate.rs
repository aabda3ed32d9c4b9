//! What is logged through the crate `log` is whole: with the key-values beside its text.

use redspan::instrumented;
use redspan_tests::process::alone;
use redspan_tests::{Kept, Lines};
use serde_json::{Value, json};
use std::fmt;

/// Logs itself, with itself as a value: without end, if nobody ends it.
struct Talks;

impl fmt::Display for Talks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(own:% = self; "of a value");
        log::info!("without values");
        f.write_str("talked")
    }
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        panic!("a value of the user's")
    }
}

#[instrumented]
fn charge() {
    log::info!(
        order = 17, share = 0.5, paid = true, by = "card", items:? = [1, 2], most = u64::MAX,
        password = "hunter2", trace_id = "forged", none = None::<u8>;
        "charged {}", 3
    );
    tracing::info!("of tracing");
}

fn of<'a>(lines: &'a [Value], message: &str) -> &'a serde_json::Map<String, Value> {
    let found = lines.iter().find(|line| line["message"] == message);
    found.and_then(Value::as_object).unwrap_or_else(|| panic!("no {message} in {lines:#?}"))
}

#[test]
fn key_values_of_the_crate_log_are_on_the_line_and_on_the_spans_event() {
    alone("key_values_of_the_crate_log_are_on_the_line_and_on_the_spans_event", &[], || {
        let (kept, lines) = (Kept::default(), Lines::default());
        let telemetry = redspan::builder()
            .spans_to(kept.clone())
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .expect("installed");
        charge();
        assert!(telemetry.flush(std::time::Duration::from_secs(60)));
        let lines = lines.take_json();
        let line = of(&lines, "charged 3");
        let expected = [
            ("order", json!(17)),
            ("share", json!(0.5)),
            ("paid", json!(true)),
            ("by", json!("card")),
            ("items", json!("[1, 2]")),
            ("most", json!(u64::MAX)),
            ("password", json!("[redacted]")),
            ("trace_id_2", json!("forged")),
        ];
        for (key, value) in &expected {
            assert_eq!(line.get(*key), Some(value), "{key}");
        }
        assert!(!line.contains_key("none"));
        let keys: Vec<_> = of(&lines, "of tracing").keys().collect();
        assert!(!keys.iter().any(|key| *key == "order"), "{keys:?}");
        let spans = kept.0.lock().unwrap();
        let event = &spans[0].events.events[0];
        let order = event.attributes.iter().find(|pair| pair.key.as_str() == "order");
        assert_eq!(order.map(|pair| pair.value.clone()), Some(17_i64.into()));
    });
}

#[test]
fn a_key_value_cannot_harm_who_logs_it() {
    alone("a_key_value_cannot_harm_who_logs_it", &[], || {
        std::panic::set_hook(Box::new(|_| {}));
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .expect("installed");
        log::info!(value:% = Talks, other = 1; "talks");
        log::info!(value:% = Panics, other = 1; "panics");
        log::info!(value = "x".repeat(1 << 20).as_str(), other = 1; "huge");
        let many: Vec<(String, usize)> = (0..1_000).map(|n| (format!("k{n}"), n)).collect();
        let record = log::Record::builder()
            .args(format_args!("many"))
            .level(log::Level::Info)
            .target("here")
            .key_values(&many)
            .build();
        log::logger().log(&record);
        assert!(telemetry.flush(std::time::Duration::from_secs(60)));
        let lines = lines.take_json();
        for message in ["talks", "panics", "huge"] {
            assert_eq!(of(&lines, message).get("other"), Some(&json!(1)), "{message}");
        }
        assert_eq!(of(&lines, "talks")["value"], "talked");
        assert!(!of(&lines, "without values").contains_key("own"));
        assert_eq!(of(&lines, "panics")["value"], "half…[it panicked]");
        let huge = of(&lines, "huge")["value"].as_str().unwrap();
        let cut = format!("x…[{} bytes cut]", (1 << 20) - 16 * 1024);
        assert!(huge.ends_with(&cut), "{}", &huge[huge.len() - 60..]);
        assert_eq!(of(&lines, "many")["k254"], 254);
        assert_eq!(of(&lines, "many")["fields_cut"], 745);
    });
}

#[test]
fn what_a_thread_logs_at_its_end_has_its_key_values() {
    struct Logs;
    impl Drop for Logs {
        fn drop(&mut self) {
            log::info!(last = true; "at the end");
        }
    }
    thread_local!(static LOGS: Logs = const { Logs });

    alone("what_a_thread_logs_at_its_end_has_its_key_values", &[], || {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .expect("installed");
        // Whatever logging needs is made behind it, and gone before it.
        let thread = std::thread::spawn(|| {
            LOGS.with(|_| ());
            log::info!(first = true; "at the beginning");
        });
        thread.join().expect("it ends");
        assert!(telemetry.flush(std::time::Duration::from_secs(60)));
        assert_eq!(of(&lines.take_json(), "at the end").get("last"), Some(&json!(true)));
    });
}
