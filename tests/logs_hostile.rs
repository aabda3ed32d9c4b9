//! What strangers write into a line cannot forge one, break one, or bring a secret out.
//!
//! Eight threads log what is hardest to write down: forged lines, control characters, texts that were no
//! UTF-8, huge and deeply nested values, and secrets wherever a secret can stand. Every sink is looked at:
//! two forms of JSON, lines for people, a file, and what an OTLP receiver gets, spans included.
//!
//! By default some thousand lines. The long form, which Python's parser reads as well:
//! `REDSPAN_LOG_LINES=1000000 cargo test --release -p redspan-tests --test logs_hostile -- --nocapture`.

#[path = "logs_hostile/checks.rs"]
mod checks;
#[path = "logs_hostile/payloads.rs"]
mod payloads;

use checks::{Checked, Checker};
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use payloads::{CANARY, Payload, Rng, Wound};
use redspan::export::{OtlpSettings, OtlpSink, Signal};
use redspan::log::{self, Rotation, Value};
use redspan::redact::{self, Redaction};
use redspan::{Logger, instrumented};
use redspan_tests::Receiver;
use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

const THREADS: u64 = 8;
const LONG: Duration = Duration::from_secs(120);

/// How many lines a thread logs before all wait for the sinks: what is looked at here is not how much
/// fits into a queue.
const ROUND: u64 = 250;

fn count() -> u64 {
    let lines = std::env::var("REDSPAN_LOG_LINES").ok().and_then(|it| it.parse::<u64>().ok());
    lines.unwrap_or(4_000).next_multiple_of(THREADS * ROUND)
}

fn redaction() -> Redaction {
    let patterns = [
        redact::URL_PASSWORD,
        redact::AUTHORIZATION,
        redact::JWT,
        redact::EMAIL,
        redact::CARD,
        redact::ASSIGNED,
    ];
    patterns
        .into_iter()
        .try_fold(Redaction::default().key("iban").key("user.birthday"), Redaction::pattern)
        .unwrap()
}

/// A call whose arguments, events and error are hostile: each of them is on its span.
#[instrumented(
    fields(n, note = payload.text, password = payload.secret_value(), db.connection_string = payload.secret_text)
)]
fn attempt(n: u64, payload: &Payload) -> Result<(), Wound> {
    line(n, payload);
    let span = tracing::Span::current();
    span.record("note", &*payload.secret_text);
    Context::current().span().set_attribute(KeyValue::new("api_key", payload.secret_value()));
    redspan::current_span()
        .set_attribute("what", payload.secret_text.clone())
        .add_event(payload.secret_text.clone(), [KeyValue::new("user.birthday", CANARY)]);
    Err(payload.wound(3))
}

/// Foreign spans: by tracing and by OpenTelemetry's API.
fn foreign(n: u64, payload: &Payload) {
    let span = tracing::info_span!(
        "foreign",
        n,
        token = payload.secret_value(),
        note = %payload.secret_text,
        later = tracing::field::Empty,
    );
    span.in_scope(|| line(n, payload));
    span.record("later", &*payload.secret_text);
    global::tracer("foreign").in_span("api", |cx| {
        let wound = payload.wound(2);
        cx.span().record_error(&wound);
        cx.span().set_status(opentelemetry::trace::Status::error(wound.to_string()));
        cx.span().set_attribute(KeyValue::new("session.token", payload.secret_value()));
    });
}

/// One line, of one of many shapes. `n` is on each of them.
fn line(n: u64, it: &Payload) {
    match it.shape {
        0 => tracing::info!(n, text = it.text, "said"),
        1 => tracing::warn!(n, "{}", it.text),
        2 => {
            tracing::error!(n, error = &it.wound(5) as &(dyn std::error::Error + 'static), "failed")
        }
        3 => tracing::info!(n, path = %it.path.display(), path_debug = ?it.path, "opened"),
        4 => tracing::info!(n, nested = ?it.nested, "nested"),
        5 => tracing::info!(
            n,
            nested = format!("{:#?}", it.nested),
            raw = it.bytes.as_slice(),
            "nested"
        ),
        6 => tracing::info!(
            n,
            password = it.secret_value(),
            Authorization = %it.secret_text,
            http.request.header.cookie = ?it.nested,
            session.token = 17,
            "signed in"
        ),
        7 => tracing::error!(n, note = it.secret_text, "{}", it.secret_text),
        8 => redspan::info!(it.logger(n), status = 502, "{}", it.text),
        9 => it.logger(n).scope().in_scope(|| {
            log::add("refresh_token", it.secret_value());
            log::add(it.text.clone(), it.secret_text.clone());
            tracing::info!("in a scope");
        }),
        10 => tracing::info!(
            n,
            timestamp = it.text,
            severity = "FATAL",
            trace_id = "forged",
            r#type = f64::NAN,
            big = f64::INFINITY,
            max = u64::MAX,
            huge = u128::MAX,
            min = i64::MIN,
            flag = true,
            "keys of the line's own"
        ),
        11 => tracing::info!(n, error = %it.utf8_error(), io = ?it.io_error(), "not UTF-8"),
        12 => {
            let cause = Value::error(&it.wound(40));
            let log = redspan::logger().with("cause", cause).with("iban", CANARY);
            redspan::warn!(log, n, "a long chain");
        }
        _ => tracing::info!(n, huge = it.huge(), "huge"),
    }
}

fn of(n: u64, rng: &mut Rng) {
    let payload = Payload::new(rng);
    match n % 10 {
        0 => drop(attempt(n, &payload)),
        1 => foreign(n, &payload),
        _ => line(n, &payload),
    }
}

#[test]
fn whatever_is_logged_each_line_is_one_record_without_secrets() {
    let count = count();
    let directory = std::env::temp_dir().join(format!("redspan-hostile-{}", std::process::id()));
    let receiver = Receiver::start();
    let [plain, renamed, people] =
        [Checker::json("message"), Checker::json("msg"), Checker::text()];
    let format = log::json()
        .slog_keys()
        .with_source()
        .with_span()
        .rename("text", "said")
        .rewrite(|key, value| Some((key.to_uppercase(), value)));
    let layer = log::layer()
        .with_writer(plain.clone())
        .also(log::to(renamed.clone()).format(format))
        .also(log::to(people.clone()).format(log::pretty().with_span().with_source()))
        .also(log::file(&directory, "hostile", Rotation::Never, 1).unwrap())
        .also(log::otlp(OtlpSettings::http_for(Signal::Logs, &receiver.http())).unwrap());
    let sinks = 5;
    let telemetry = redspan::builder()
        .service_name("hostile\n{\"forged\":true}")
        .redact(redaction())
        .spans_to(OtlpSink::new(OtlpSettings::http(&receiver.http())).unwrap())
        .logs(layer)
        .install()
        .unwrap();
    let before = telemetry.logs().written();
    let start = Instant::now();
    let (mut records, mut spans, mut events) = (HashSet::new(), 0, 0);
    for round in 0..count / (THREADS * ROUND) {
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                threads.spawn(move || {
                    let from = (round * THREADS + thread) * ROUND;
                    let mut rng = Rng::new(from);
                    (from..from + ROUND).for_each(|n| of(n, &mut rng));
                });
            }
        });
        assert!(telemetry.flush(LONG));
        for record in receiver.take_records() {
            let shown = format!("{record:?}");
            assert!(!shown.contains(CANARY), "{shown}");
            if let Some(redspan_tests::Value::Int(n)) = record.attributes.get("n") {
                assert!(records.insert(*n), "twice: {shown}");
            }
        }
        for span in receiver.take() {
            let shown = format!("{span:?}");
            assert!(!shown.contains(CANARY), "{shown}");
            spans += 1;
            events += span.events.len();
        }
    }
    let took = start.elapsed();
    let written = telemetry.logs().written() - before;
    assert_eq!(telemetry.logs().dropped(), 0);
    drop(telemetry);
    assert_eq!(records.len() as u64, count);
    // A tenth of the lines in a call, a tenth in a foreign span beside one of the API's.
    assert_eq!(spans as u64, 3 * count / 10);
    for checker in [&plain, &renamed] {
        let Checked { lines, numbered, redacted, other, .. } = checker.checked();
        assert_eq!(numbered, count, "{other:#?}");
        assert!(lines - numbered < 10, "beside the start-up line: {lines}");
        assert!(redacted > count / 4, "{redacted}");
    }
    let people = people.checked();
    assert_eq!(people.lines, plain.checked().lines, "nothing forged a line");
    let file = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::metadata(&file).unwrap().len();
    let python = by_python(&file, count);
    std::fs::remove_dir_all(&directory).unwrap();
    println!(
        "{count} lines to each of {sinks} sinks in {took:.1?} ({written} taken, {bytes} bytes in the file), {} \
         secrets hidden in a sink; {spans} spans with {events} events; {python}",
        plain.checked().redacted,
    );
}

/// An independent parser reads the file: strict, keys unique, one line each however lines are told apart.
fn by_python(file: &std::path::Path, count: u64) -> String {
    const READER: &str = include_str!("logs_hostile/reader.py");
    let python = std::env::var("REDSPAN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let arguments = ["-c", READER, file.to_str().unwrap(), CANARY, &count.to_string()];
    match Command::new(&python).args(arguments).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let failed = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}\n{failed}");
            said
        }
        Err(error) => {
            redspan_tests::skipped(&format!("{python}: {error}"), "install Python 3");
            String::new()
        }
    }
}

/// Where nothing asks for a logger, one is made here: keys of strangers too.
impl Payload {
    fn logger(&self, n: u64) -> Logger {
        let mut logger = redspan::logger()
            .with("n", n)
            .with("session.token", self.secret_value())
            .with(self.text.clone(), self.secret_text.clone())
            .with("client_secret", Value::debug(&self.nested));
        for depth in 0..30 {
            logger = logger.group(&format!("g{depth}"));
        }
        logger.with("password", self.secret_value()).with("note", self.text.clone())
    }
}
