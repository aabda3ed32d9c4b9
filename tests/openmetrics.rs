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
    run(python, READER, page)
}

fn run(python: &str, script: &str, page: &str) -> String {
    let mut reader = Command::new(python)
        .args(["-c", script])
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

/// Prints the label `text` of each series by its label `id`, as JSON.
const LABELS: &str = r#"
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
page = sys.stdin.buffer.read().decode("utf-8")
found = {}
for family in read(page):
    for s in family.samples:
        if s.name.startswith("any_text"):
            found[s.labels["id"] + s.name] = [s.labels.get("text", ""), s.value]
print(json.dumps(found))
"#;

/// Any text: of any characters, many of them such as formats trip over.
fn text(random: &mut impl FnMut(u64) -> u64) -> String {
    let odd = [
        '"', '\\', '\n', '\r', '{', '}', ',', '=', ' ', '#', '\t', '\u{1}', '\u{85}', '\u{2028}',
        'n',
    ];
    (0..random(12))
        .map(|_| match random(3) {
            0 => odd[random(odd.len() as u64) as usize],
            1 => char::from_u32(random(0x11_0000) as u32).filter(|&c| c != '\0').unwrap_or('"'),
            _ => char::from_u32(random(0x250) as u32).filter(|&c| c != '\0').unwrap_or('\\'),
        })
        .collect()
}

#[test]
fn any_text_comes_back_from_the_strict_parser() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let texts: Vec<String> = (0..1_500).map(|_| text(&mut random)).collect();
    assert!(texts.iter().any(String::is_empty));
    let recorder = redspan::recorder();
    for (id, text) in texts.iter().enumerate() {
        let labels = [("id", id.to_string()), ("text", text.clone())];
        let counter = recorder.register_counter(&Key::from_parts("any_text", &labels), &METADATA);
        counter.increment(id as u64);
        let gauge = recorder.register_gauge(&Key::from_parts("any_text_gauge", &labels), &METADATA);
        gauge.set(id as f64);
    }
    let page = recorder.render_openmetrics();
    let Some(python) = python() else { return };
    let found: serde_json::Value = serde_json::from_str(&run(&python, LABELS, &page)).unwrap();
    for (id, text) in texts.iter().enumerate() {
        for name in ["any_text_total", "any_text_gauge"] {
            let [shown, value] = &found[format!("{id}{name}")].as_array().unwrap()[..] else {
                panic!()
            };
            assert_eq!((shown.as_str(), value.as_f64()), (Some(text.as_str()), Some(id as f64)));
        }
    }
}
