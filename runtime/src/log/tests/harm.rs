//! Whatever is logged, and from wherever: whole lines, counted lines, no hang and no panic.

use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use tracing::{info, info_span, subscriber::with_default, warn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::{LONG, Output, ids, inside, parse, tracer};

/// A small generator, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn text(&mut self) -> String {
        const PARTS: &[&str] = &[
            "plain",
            "\n",
            "\r\n",
            "\"",
            "\\",
            "\0",
            "\u{1b}[2J",
            "\u{7f}",
            "é",
            "🦀",
            "\u{2028}",
            "\u{202e}",
            "\"}\n{\"trace_id\":\"ff\"",
            "\\u0022",
            "=",
            " ",
            "\u{fffd}",
            "]}",
            "{",
            "\t",
            "\u{9f}",
        ];
        if self.below(2_000) == 0 {
            return PARTS[self.below(PARTS.len())].repeat(40_000);
        }
        (0..self.below(8)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "read by Debug")]
struct Nested {
    text: String,
    inner: Option<Box<Nested>>,
}

#[test]
fn a_hundred_thousand_hostile_lines_are_each_one_object() {
    const LINES: u64 = 100_000;
    let output = Output::default();
    let (layer, handle) = output.layer();
    let mut random = Random(0x5eed);
    let mut expected = Vec::new();
    let mut checked = 0;
    with_default(registry().with(layer), || {
        for n in 0..LINES {
            let (message, text) = (random.text(), random.text());
            let nested = Nested {
                text: random.text(),
                inner: Some(Box::new(Nested { text: random.text(), inner: None })),
            };
            let span = (random.below(3) > 0)
                .then(|| inside(u128::from(n) + 1, n + 1, TraceFlags::SAMPLED));
            let number = f64::from_bits(random.0);
            info!(n, text, span_id = %text, "we\"ird\n" = text, f = number, nested = ?nested, "{message}");
            drop(span);
            expected.push((message, text));
            if expected.len() == 1_000 || n + 1 == LINES {
                let lines = parse(&output.take(&handle));
                assert_eq!(lines.len(), expected.len());
                for (line, (message, text)) in lines.iter().zip(expected.drain(..)) {
                    let n = line.get("n").unwrap().as_u64().unwrap();
                    assert_eq!(n, checked);
                    checked += 1;
                    for (key, wanted) in [
                        ("message", &message),
                        ("text", &text),
                        ("span_id_2", &text),
                        ("we\"ird\n", &text),
                    ] {
                        let found = line.get(key).unwrap().as_str().unwrap();
                        if wanted.len() <= crate::log::fields::MAX_VALUE {
                            assert_eq!(found, wanted);
                        } else {
                            assert!(found.ends_with(" bytes cut]") && found.len() < 17_000);
                        }
                    }
                    if let Some((trace, span)) = line.ids() {
                        assert_eq!(trace, format!("{:032x}", n + 1));
                        assert_eq!(span, format!("{:016x}", n + 1));
                    }
                }
            }
        }
    });
    assert_eq!(checked, LINES);
    assert_eq!((handle.written(), handle.dropped()), (LINES, 0));
}

#[test]
fn eight_threads_never_mix_within_a_line_and_every_line_is_accounted_for() {
    const THREADS: u64 = 8;
    const LINES: u64 = 5_000;
    let output = Output::default();
    let (layer, handle) = output.layer();
    let dispatch = tracing::Dispatch::new(registry().with(layer));
    std::thread::scope(|threads| {
        for thread in 1..=THREADS {
            let dispatch = dispatch.clone();
            threads.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _span = inside(u128::from(thread), thread, TraceFlags::SAMPLED);
                    for n in 0..LINES {
                        info!(thread, n, "{}", "x".repeat(n as usize % 300));
                    }
                });
            });
        }
    });
    let lines = parse(&output.take(&handle));
    assert_eq!(lines.len() as u64, handle.written());
    assert_eq!(handle.written() + handle.dropped(), THREADS * LINES);
    for line in &lines {
        let thread = line.get("thread").unwrap().as_u64().unwrap();
        assert_eq!(line.ids(), Some((format!("{thread:032x}"), format!("{thread:016x}"))));
    }
}

#[test]
fn an_optional_layer_finds_named_parents_too() {
    in_own_process("log::tests::harm::an_optional_layer_finds_named_parents_too", || {
        let output = Output::default();
        let (layer, handle) = output.layer();
        let bridge = tracing_opentelemetry::layer().with_tracer(tracer());
        registry().with(bridge).with(Some(layer)).init();
        let other = info_span!(parent: None, "other");
        info!(parent: &other, "x");
        let lines = parse(&output.take(&handle));
        assert_eq!(lines[0].ids(), Some(ids(&other)));
    });
}

#[test]
fn a_tracer_that_logs_while_it_starts_a_span_does_not_deadlock() {
    in_own_process(
        "log::tests::harm::a_tracer_that_logs_while_it_starts_a_span_does_not_deadlock",
        || {
            #[derive(Debug)]
            struct Talks(AtomicU64);
            impl opentelemetry_sdk::trace::IdGenerator for Talks {
                fn new_trace_id(&self) -> TraceId {
                    warn!("from the tracer");
                    TraceId::from(1_u128)
                }

                fn new_span_id(&self) -> SpanId {
                    SpanId::from(self.0.fetch_add(1, Relaxed))
                }
            }
            let output = Output::default();
            let (layer, handle) = output.layer();
            let tracer = SdkTracerProvider::builder()
                .with_id_generator(Talks(AtomicU64::new(1)))
                .build()
                .tracer("test");
            registry().with(tracing_opentelemetry::layer().with_tracer(tracer)).with(layer).init();
            info_span!("entered").in_scope(|| info!("in entered"));
            let named = info_span!(parent: None, "named");
            info!(parent: &named, "in named");
            let lines = parse(&output.take(&handle));
            let found: Vec<_> =
                lines.iter().map(|line| line.get("message").unwrap().as_str().unwrap()).collect();
            assert_eq!(found, ["from the tracer", "in entered", "from the tracer", "in named"]);
        },
    );
}

/// Runs the test of that name in a process of its own, where it may set the global subscriber: only there
/// does tracing pass on events that are logged while an event is being logged.
pub(super) fn in_own_process(name: &str, body: impl FnOnce()) {
    if std::env::var_os("REDSPAN_OWN_PROCESS").is_some() {
        return body();
    }
    // Shown only if it fails: what a child prints of a panic that is meant reads like a failure.
    let said =
        std::env::temp_dir().join(format!("{}-{}", name.replace(':', "."), std::process::id()));
    let file = std::fs::File::create(&said).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("REDSPAN_OWN_PROCESS", "1")
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() >= LONG {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = std::fs::read_to_string(&said).unwrap_or_default();
    std::fs::remove_file(&said).unwrap();
    match status {
        Some(status) => assert!(status.success(), "{name}: {status}\n{text}"),
        None => panic!("{name} hangs\n{text}"),
    }
}

#[test]
fn a_debug_that_logs_is_served_and_one_that_logs_itself_ends() {
    in_own_process(
        "log::tests::harm::a_debug_that_logs_is_served_and_one_that_logs_itself_ends",
        || {
            struct Chatty;
            impl fmt::Debug for Chatty {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    info!("inner");
                    f.write_str("chatty")
                }
            }
            struct Endless;
            impl fmt::Debug for Endless {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    info!(me = ?self, "again");
                    f.write_str("endless")
                }
            }
            let output = Output::default();
            let (layer, handle) = output.layer();
            let bridge = tracing_opentelemetry::layer()
                .with_tracer(tracer())
                .with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span()));
            registry()
                .with(bridge)
                .with(layer)
                .with(crate::bridge::events::EventLayer::new())
                .init();
            let _span = info_span!("span").entered();

            info!(value = ?Chatty, "outer");
            let lines = parse(&output.take(&handle));
            // Once for the line, once for the span event.
            assert_eq!(lines.len(), 3);
            assert_eq!(lines[1].get("value"), Some(&json!("chatty")));
            assert!(lines.iter().all(|line| line.ids() == lines[0].ids() && line.ids().is_some()));
            assert_eq!(handle.dropped(), 0);

            info!(value = ?Endless, "outer");
            let lines = parse(&output.take(&handle));
            assert!(lines.len() < 100, "{}", lines.len());
            assert!(handle.dropped() > 0);
        },
    );
}

#[test]
fn a_value_that_panics_when_it_is_written_costs_its_own_text_alone() {
    struct Angry;
    impl fmt::Debug for Angry {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half a ")?;
            panic!("written")
        }
    }
    let output = Output::default();
    let (layer, handle) = output.layer();
    with_default(registry().with(layer).with(crate::bridge::events::EventLayer::new()), || {
        info!(who = ?Angry, n = 1, "the rest is there");
        info!("the message: {Angry:?}");
        info!("and the next line");
    });
    let lines = parse(&output.take(&handle));
    assert_eq!(lines[0].get("who"), Some(&json!("half a …[it panicked]")));
    assert_eq!(lines[0].get("n"), Some(&json!(1)));
    assert_eq!(lines[0].get("message"), Some(&json!("the rest is there")));
    assert_eq!(lines[1].get("message"), Some(&json!("the message: half a …[it panicked]")));
    assert_eq!(lines[2].get("message"), Some(&json!("and the next line")));
}

#[test]
fn a_line_from_a_thread_locals_destructor_is_no_panic() {
    in_own_process("log::tests::harm::a_line_from_a_thread_locals_destructor_is_no_panic", || {
        struct LogsWhenDropped(&'static str);
        impl Drop for LogsWhenDropped {
            fn drop(&mut self) {
                info!("{}", self.0);
            }
        }
        thread_local! {
            static BEFORE: LogsWhenDropped = const { LogsWhenDropped("registered before") };
            static AFTER: LogsWhenDropped = const { LogsWhenDropped("registered after") };
        }
        let output = Output::default();
        let (layer, handle) = output.layer();
        registry().with(layer).with(crate::bridge::events::EventLayer::new()).init();
        let thread = std::thread::spawn(|| {
            BEFORE.with(|_| ());
            info!("alive");
            AFTER.with(|_| ());
        });
        thread.join().unwrap();
        // A thread that has a context, but whose first line comes from its end.
        let thread = std::thread::spawn(|| {
            BEFORE.with(|_| ());
            Context::map_current(|_| ());
        });
        thread.join().unwrap();
        assert_eq!(parse(&output.take(&handle)).len(), 4);
    });
}

#[test]
fn what_a_writer_logs_while_it_writes_is_no_line() {
    use std::io::{self, Write};
    use std::sync::{Arc, OnceLock};
    use tracing::{Dispatch, dispatcher};

    #[derive(Clone, Default)]
    struct Talks(Output, Arc<OnceLock<Dispatch>>);

    impl Write for Talks {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let dispatch = self.1.get().expect("set before the first line");
            dispatcher::with_default(dispatch, || info!(length = bytes.len(), "writing"));
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let writer = Talks::default();
    let layer = crate::log::layer().with_writer(writer.clone());
    let handle = layer.handle();
    let dispatch = writer.1.get_or_init(|| Dispatch::new(registry().with(layer)));
    dispatcher::with_default(dispatch, || info!("one"));
    let lines = writer.0.take(&handle);
    assert!(lines.contains("\"one\"") && handle.flush(LONG), "{lines}");
    assert_eq!((handle.written(), handle.dropped()), (1, 1), "{}", writer.0.take(&handle));
}
