//! A page with everything, read by the strict OpenMetrics parser of Python's prometheus_client.

use metrics::{Key, Level, Metadata, Recorder, Unit};
use std::io::Write;
use std::process::{Command, Stdio};

const METADATA: Metadata<'static> = Metadata::new("openmetrics", Level::INFO, None);

/// Prints each sample as `name|labels|value`, one a line; fails on what the standard forbids.
const READER: &str = r#"
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
page = sys.stdin.buffer.read().decode("utf-8")
for family in read(page):
    print("family", family.name, family.type, family.unit or "-", repr(family.documentation))
    for s in family.samples:
        print(s.name, sorted(s.labels.items()), float(s.value))
"#;

/// The interpreter, if it has the parser.
fn python() -> Option<String> {
    let python = std::env::var("REDSPAN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python)
        .args(["-c", "import prometheus_client"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        redspan_tests::skipped(
            &format!("{python} has no prometheus_client"),
            "`pip install prometheus-client`, or name an interpreter that has it in REDSPAN_PYTHON",
        );
    }
    found.then_some(python)
}

fn read(python: &str, page: &str) -> String {
    let mut reader = Command::new(python)
        .args(["-c", READER])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{page}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fill() {
    let recorder = redspan::recorder();
    let help = "With \"quotes\", a \\ and\na second line";
    recorder.describe_counter("jobs.done_total".into(), None, help.into());
    recorder.describe_histogram("wait_seconds".into(), Some(Unit::Seconds), "Waiting".into());
    recorder.describe_histogram("size".into(), Some(Unit::Bytes), "Not named by its unit".into());
    recorder.describe_gauge("pool_bytes".into(), Some(Unit::Bytes), "".into());
    let odd = "\"quoted\" \\ back\nline {x=\"y\"} , = # größe 🦀";
    let counter = Key::from_parts("jobs.done_total", &[("odd.label", odd), ("__name__", "x")]);
    recorder.register_counter(&counter, &METADATA).increment(7);
    recorder.register_counter(&Key::from_name("jobs.done_total"), &METADATA).increment(1);
    for (name, value) in [("wait_seconds", 0.3), ("wait_seconds", 1e-9), ("size", 1e15)] {
        let key = Key::from_parts(name, &[("le", "mine")]);
        recorder.register_histogram(&key, &METADATA).record(value);
    }
    recorder.register_histogram(&Key::from_name("signed"), &METADATA).record(-3.5);
    recorder.register_histogram(&Key::from_name("signed"), &METADATA).record(f64::NAN);
    for (name, value) in
        [("pool_bytes", 1e7), ("temperature", -3.25), ("nan", f64::NAN), ("inf", f64::INFINITY)]
    {
        recorder.register_gauge(&Key::from_name(name), &METADATA).set(value);
    }
    // Whatever would collide must be left out, or the reader refuses the whole page.
    recorder.register_gauge(&Key::from_name("jobs_done"), &METADATA).set(1.0);
    recorder.register_counter(&Key::from_name("wait_seconds_count"), &METADATA).increment(1);
    recorder.register_gauge(&Key::from_name("wait_seconds_count"), &METADATA).set(1.0);
    recorder.register_histogram(&Key::from_name("function_calls"), &METADATA).record(1.0);
    recorder.register_counter(&Key::from_name("1.ünï"), &METADATA).increment(1);
    for label in ["a.b", "a_b"] {
        let key = Key::from_parts("twins", &[(label, "1")]);
        recorder.register_gauge(&key, &METADATA).set(1.0);
    }
    for user in 0..2_100 {
        let key = Key::from_parts("crowd", &[("user", user.to_string())]);
        recorder.register_counter(&key, &METADATA).increment(1);
    }
}

#[test]
fn the_strict_parser_takes_a_page_with_everything() {
    fill();
    let page = redspan::recorder().render_openmetrics();
    let Some(python) = python() else { return };
    let read = read(&python, &page);
    for line in [
        r#"family jobs_done counter - 'With "quotes", a \\ and\na second line'"#,
        r#"jobs_done_total [] 1.0"#,
        r#"jobs_done_total [('exported__name__', 'x'), ('odd_label', '"quoted" \\ back\nline {x="y"} , = # größe 🦀')] 7.0"#,
        "family wait_seconds histogram seconds 'Waiting'",
        "wait_seconds_count [('exported_le', 'mine')] 2.0",
        "family size histogram - 'Not named by its unit'",
        "family pool_bytes gauge bytes ''",
        "temperature [] -3.25",
        "nan [] nan",
        "inf [] inf",
        "signed_bucket [('le', '+Inf')] 1.0",
        "redspan_metric_refused_total [('metric', 'signed')] 1.0",
        "crowd_total [('user', '__overflow__')] 100.0",
        "redspan_metric_overflow_total [('metric', 'crowd')] 100.0",
    ] {
        assert!(read.lines().any(|shown| shown == line), "{line} is not in\n{read}");
    }
    for absent in
        ["family jobs_done gauge", "wait_seconds_count gauge", "family function_calls histogram"]
    {
        assert!(!read.contains(absent), "{absent} is in\n{read}");
    }
}
