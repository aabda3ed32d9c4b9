//! What is bound to a logger or a scope, and what a layer was asked to do with it.

use std::time::Duration;

use serde_json::json;
use tracing::{Level, info, subscriber::with_default, warn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::{LONG, Output, logged, one, parse};
use crate::context::{Follow, carry};
use crate::log::{self, Key, LogLayer, Unit, Value};
use crate::redact::{EMAIL, REDACTED, Redaction};

fn with(change: impl FnOnce(LogLayer) -> LogLayer, body: impl FnOnce()) -> Vec<super::Object> {
    let output = Output::default();
    let layer = change(log::layer().with_writer(output.clone()));
    let handle = layer.handle();
    with_default(registry().with(layer), body);
    parse(&output.take(&handle))
}

#[test]
fn a_loggers_fields_come_first_and_its_groups_hold_the_events_own() {
    let line = one(|| {
        let log = crate::logger().with("order_id", 17).with("total", 1.5).with("none", None::<u8>);
        let http = log.group("http").group("").with("method", "GET").group("peer");
        crate::warn!(http, status = 502, took = %"x", "upstream {}", "failed");
    });
    assert_eq!(line.get("message"), Some(&json!("upstream failed")));
    assert_eq!(line.get("severity"), Some(&json!("WARN")));
    assert_eq!(line.get("target"), Some(&json!(module_path!())));
    assert_eq!(
        line.keys()[4..],
        ["order_id", "total", "http.method", "http.peer.status", "http.peer.took"]
    );
}

#[test]
fn a_logger_is_left_as_it_is_by_those_made_of_it() {
    let lines = logged(|| {
        let log = crate::logger().with("a", 1);
        let other = log.with("a", 2).with("b", true);
        crate::info!(log, "one");
        crate::info!(&other, "two");
        crate::debug!(other, "{}", 3);
        crate::trace!(other, x = 1);
        crate::error!(crate::logger(), "none");
    });
    let keys: Vec<_> = lines.iter().map(|line| line.keys()[4..].join(" ")).collect();
    assert_eq!(keys, ["a", "a b", "a b", "a b x", ""]);
    assert_eq!(lines[0].get("a"), Some(&json!(1)));
    assert_eq!(lines[1].get("a"), Some(&json!(2)));
}

#[test]
fn every_kind_of_value_can_be_bound() {
    let source = std::io::Error::other("inner");
    let error = std::io::Error::other(source);
    let line = one(|| {
        let log = crate::logger()
            .with("b", true)
            .with("i", -1)
            .with("u", u64::MAX)
            .with("f", 0.5)
            .with("s", String::from("text"))
            .with("d", Value::debug(Some(1)))
            .with("elapsed", Duration::from_micros(1_500))
            .with("err", Value::error(&error));
        crate::info!(log, "x");
    });
    let fields: Vec<_> = line.0[4..].iter().map(|(key, value)| (key.as_str(), value)).collect();
    assert_eq!(
        fields,
        [
            ("b", &json!(true)),
            ("i", &json!(-1)),
            ("u", &json!(u64::MAX)),
            ("f", &json!(0.5)),
            ("s", &json!("text")),
            ("d", &json!("Some(1)")),
            ("elapsed_ms", &json!(1.5)),
            ("err", &json!("inner")),
        ]
    );
}

#[test]
fn durations_are_counted_in_the_unit_that_was_asked_for() {
    let lines = with(
        |layer| layer.durations_in(Unit::Seconds),
        || crate::info!(crate::logger().with("took", Duration::from_millis(250)), "x"),
    );
    assert_eq!(lines[0].get("took_s"), Some(&json!(0.25)));
}

#[test]
fn other_layers_see_the_bound_fields_as_text() {
    let log = crate::logger().with("order_id", 17).with("password", "hunter2").with("s", "a b");
    let shown = format!("{:?}", log.__redspan_bound());
    assert_eq!(shown, format!("order_id=17 password={REDACTED} s=\"a b\""));
}

#[test]
fn a_scopes_fields_are_on_every_line_in_it_and_the_inner_scope_wins() {
    let lines = logged(|| {
        let outer = log::scope().with("request_id", "r-1").with("user", 1).enter();
        info!(own = true, "one");
        log::scope().with("user", 2).in_scope(|| {
            info!(user = 3, "two");
            assert!(log::add("late", "x"));
            info!("three");
        });
        info!("four");
        drop(outer);
        info!("five");
        assert!(!log::add("lost", 1), "there is no scope");
    });
    let fields: Vec<_> = lines
        .iter()
        .map(|line| {
            let fields = line.0[4..].iter().map(|(key, value)| format!("{key}={value}"));
            fields.collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(
        fields,
        [
            "own=true request_id=\"r-1\" user=1",
            "user=3 request_id=\"r-1\" user_2=2",
            "request_id=\"r-1\" user=2 late=\"x\"",
            "request_id=\"r-1\" user=1",
            ""
        ]
    );
}

#[test]
fn a_scope_follows_await_spawn_and_threads() {
    let output = Output::default();
    let (layer, handle) = output.layer();
    let dispatch = tracing::Dispatch::new(registry().with(layer));
    let _default = tracing::dispatcher::set_default(&dispatch);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = crate::logger().with("request_id", "r-1");
    runtime.block_on(log.scope().run(async {
        tokio::task::yield_now().await;
        info!("awaited");
        tokio::spawn(async { info!("spawned") }.in_current_context()).await.unwrap();
        let thread = std::thread::spawn(carry(move || {
            tracing::dispatcher::with_default(&dispatch, || info!("thread"));
        }));
        thread.join().unwrap();
        let plain = tokio::spawn(async { info!("not carried") });
        plain.await.unwrap();
    }));
    let lines = parse(&output.take(&handle));
    let bound: Vec<_> = lines.iter().map(|line| line.get("request_id").is_some()).collect();
    assert_eq!(bound, [true, true, true, false]);
}

#[test]
fn a_scope_holds_only_so_many_fields() {
    let line = one(|| {
        let _scope = log::scope().enter();
        let added = (0..100).filter(|n| log::add(format!("f{n}"), *n)).count();
        assert_eq!(added, 64);
        info!("x");
    });
    assert_eq!(line.keys().len(), 4 + 64);
}

#[test]
fn keys_are_named_left_out_and_added_as_asked() {
    let format = log::json()
        .slog_keys()
        .without(Key::Target)
        .with_source()
        .rename("order_id", "orderId")
        .omit("internal");
    let lines = with(
        |layer| layer.format(format),
        || info!(order_id = 1, internal = 2, orderId = 3, msg = "forged", message = "m", "x"),
    );
    assert_eq!(
        lines[0].keys(),
        [
            "time",
            "level",
            "msg",
            "code.file.path",
            "code.line.number",
            "orderId",
            "orderId_2",
            "msg_2",
            "message"
        ]
    );
    assert_eq!(lines[0].get("code.file.path"), Some(&json!(file!())));
    for (left_out, stays) in [(Key::File, "code.line.number"), (Key::Line, "code.file.path")] {
        let format = log::json().with_source().without(left_out);
        let lines = with(|layer| layer.format(format), || info!("x"));
        assert!(lines[0].get(stays).is_some(), "each of the two can be left out");
    }
}

#[test]
fn a_rewritten_line_is_still_an_object_without_repeated_keys() {
    let format = log::json().rewrite(|key, value| match key {
        "gone" => None,
        "kept" => Some((key.into(), value)),
        _ => Some(("message".into(), json!({ "was": value }))),
    });
    let lines = with(|layer| layer.format(format), || info!(gone = 1, kept = 2, a = 3, b = 4, "x"));
    assert_eq!(lines[0].get("message"), Some(&json!("x")));
    assert_eq!(lines[0].keys()[4..], ["kept", "message_2", "message_3"]);
    assert_eq!(lines[0].get("message_2"), Some(&json!({ "was": 3 })));
}

#[test]
fn the_innermost_spans_name_is_shown_when_asked_for() {
    let lines = with(
        |layer| layer.format(log::json().with_span()),
        || {
            tracing::info_span!("outer").in_scope(|| info!("in"));
            info!("out");
        },
    );
    assert_eq!(lines[0].get("span"), Some(&json!("outer")));
    assert_eq!(lines[1].get("span"), None);
}

#[test]
fn no_secret_is_in_a_line_wherever_it_comes_from() {
    struct Never;
    impl std::fmt::Debug for Never {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("a secret is not rendered")
        }
    }
    let redaction = Redaction::default().pattern(EMAIL).unwrap();
    let failed = std::io::Error::other("no mailbox ann@example.org");
    let lines = with(
        |layer| layer.redact(redaction),
        || {
            let _scope = log::scope().with("session.token", 17).with("who", "bob@x.org").enter();
            let log = crate::logger().with("api_key", "s").group("db").with("password", "hunter2");
            crate::info!(
                log,
                cookie = ?Never,
                secret = true,
                err = &failed as &(dyn std::error::Error + 'static),
                note = "to ann@example.org",
                "mailed {}", "ann@example.org",
            );
        },
    );
    let line = &lines[0];
    for key in ["session.token", "api_key", "db.password", "db.cookie", "db.secret", "who"] {
        assert_eq!(line.get(key), Some(&json!(REDACTED)), "{key}");
    }
    assert_eq!(line.get("message"), Some(&json!(format!("mailed {REDACTED}"))));
    assert_eq!(line.get("db.note"), Some(&json!(format!("to {REDACTED}"))));
    assert_eq!(line.get("db.err"), Some(&json!(format!("no mailbox {REDACTED}"))));
}

#[test]
fn each_sink_has_its_own_level_and_format() {
    let (errors, all) = (Output::default(), Output::default());
    let layer = log::layer()
        .with_writer(errors.clone())
        .level(Level::ERROR)
        .also(log::to(all.clone()).pretty());
    let handle = layer.handle();
    with_default(registry().with(layer), || {
        tracing::error!("e");
        warn!("w");
        info!("i");
    });
    assert_eq!(parse(&errors.take(&handle)).len(), 1);
    let pretty = all.take(&handle);
    assert_eq!(pretty.lines().count(), 3);
    assert!(pretty.contains(" WARN "), "{pretty}");
    assert_eq!((handle.written(), handle.dropped()), (4, 0));
}

#[test]
fn a_limit_writes_the_first_then_one_in_so_many_and_says_how_many_it_left_out() {
    // Other tests' subscribers come and go, and an event that is asked about meanwhile may be lost.
    let name = "a_limit_writes_the_first_then_one_in_so_many_and_says_how_many_it_left_out";
    super::harm::in_own_process(&format!("log::tests::bound::{name}"), limited);
}

fn limited() {
    let output = Output::default();
    let limit = log::limit(3).then_one_in(10).every(Duration::from_secs(3_600));
    let layer = log::layer().with_writer(output.clone()).limit(limit.up_to(Level::INFO));
    let handle = layer.handle();
    with_default(registry().with(layer), || {
        for n in 0..33 {
            info!(n, "often");
            warn!(n, "never suppressed");
        }
        info!("elsewhere");
    });
    let lines = parse(&output.take(&handle));
    let often: Vec<_> = lines
        .iter()
        .filter(|line| line.get("message") == Some(&json!("often")))
        .map(|line| (line.get("n").unwrap().as_u64().unwrap(), line.get("suppressed").cloned()))
        .collect();
    let nine = Some(json!(9));
    assert_eq!(
        often,
        [(0, None), (1, None), (2, None), (12, nine.clone()), (22, nine.clone()), (32, nine)]
    );
    assert_eq!(handle.suppressed(), 27);
    assert_eq!(lines.len(), 6 + 33 + 1);
}

#[test]
fn what_was_suppressed_is_told_once_its_place_is_quiet() {
    let name = "what_was_suppressed_is_told_once_its_place_is_quiet";
    super::harm::in_own_process(&format!("log::tests::bound::{name}"), told_when_quiet);
}

fn told_when_quiet() {
    let output = Output::default();
    let limit = log::limit(1).every(Duration::from_millis(20));
    let stuck = log::to(Stuck);
    let layer = log::layer().to(stuck).also(log::to(output.clone()));
    let layer = layer.limit(limit.told_after(Duration::from_millis(50)));
    let handle = layer.handle();
    // Nothing is told where the thread that logged has its subscriber: the sink's thread has to bring it.
    let dispatch = tracing::Dispatch::new(registry().with(layer));
    let (mut logged, mut told) = (0, 0);
    for _ in 0..3 {
        tracing::dispatcher::with_default(&dispatch, || {
            (0..100).for_each(|n| warn!(n, "often"));
        });
        logged += 100;
        let start = std::time::Instant::now();
        loop {
            assert!(start.elapsed() < LONG, "nobody tells: {}", output.seen());
            std::thread::sleep(Duration::from_millis(5));
            let lines = parse(&output.seen());
            let of = |line: &super::Object, key: &str| line.get(key).and_then(|it| it.as_u64());
            let written =
                lines.iter().filter(|it| it.get("message") == Some(&json!("often"))).count() as u64;
            let said: u64 = lines.iter().filter_map(|it| of(it, "suppressed")).sum();
            let last: Vec<_> = lines.iter().filter(|it| of(it, "lines").is_some()).collect();
            told = last.iter().filter_map(|it| of(it, "lines")).sum::<u64>();
            for line in &last {
                let message = line.get("message").unwrap().as_str().unwrap();
                assert!(message.starts_with(&format!("suppressed of {} at ", module_path!())));
                assert!(message.contains("bound.rs:"), "{message}");
                assert_eq!(line.get("severity"), Some(&json!("WARN")));
            }
            if written + said + told == logged {
                break;
            }
        }
    }
    assert!(told > 0 && handle.suppressed() >= told);
    // Told once: nothing follows.
    let lines = output.seen();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(output.seen(), lines);
}

/// Takes nothing, ever.
struct Stuck;

impl std::io::Write for Stuck {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_hold_the_lines() {
    let directory = std::env::temp_dir().join(format!("redspan-log-{}", std::process::id()));
    let sink = log::file(&directory, "shop", log::Rotation::Daily, 2).unwrap();
    let layer = log::layer().to(sink);
    let handle = layer.handle();
    with_default(registry().with(layer), || info!("to a file"));
    assert!(handle.flush(LONG));
    let files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("shop.") && name.ends_with(".log"), "{name}");
    assert_eq!(parse(&std::fs::read_to_string(&files[0]).unwrap()).len(), 1);
    std::fs::remove_dir_all(&directory).unwrap();
    let error = log::file("/dev/null/x", "shop", log::Rotation::Never, 1).unwrap_err().to_string();
    assert!(error.contains("/dev/null/x") && error.contains("expected"), "{error}");
}

#[test]
fn dotted_names_are_objects_where_that_is_asked_for() {
    let lines = with(
        |layer| layer.format(log::json().slog_keys().nested()),
        || {
            let http = crate::logger().with("order_id", 17).group("http").with("method", "GET");
            let broken = std::io::Error::other("broken pipe");
            let cause = &broken as &(dyn std::error::Error + 'static);
            crate::info!(http.group("peer"), port = 80, "grouped");
            info!(
                error = cause,
                error.r#type = "io",
                http.a.b = 1,
                http.c = 2,
                http.a.d = 3,
                "mixed"
            );
            info!(time.zone = "UTC", a = 1, a.b = 2, c.d = 3, c.d.e = 4, "in the way");
            crate::info!(crate::logger().with("..x.", 1).with("a..b", 2), "odd");
        },
    );
    let of = |n: usize| {
        let own = ["time", "level", "msg", "target"];
        let fields = lines[n].0.iter().filter(|(key, _)| !own.contains(&&**key));
        fields.cloned().collect::<serde_json::Value>()
    };
    assert_eq!(of(0), json!({"order_id": 17, "http": {"method": "GET", "peer": {"port": 80}}}));
    assert_eq!(
        of(1),
        json!({"error": "broken pipe", "error.type": "io", "http": {"a": {"b": 1, "d": 3}, "c": 2}})
    );
    assert_eq!(of(2), json!({"time.zone": "UTC", "a": 1, "a.b": 2, "c": {"d": 3}, "c.d.e": 4}));
    assert_eq!(of(3), json!({"": {"": {"x": {"": 1}}}, "a": {"": {"b": 2}}}));
}

#[test]
fn strangers_names_nest_only_so_deep() {
    let deep = "a.".repeat(100);
    let lines = with(
        |layer| layer.format(log::json().nested()),
        || crate::info!(crate::logger().with(deep.clone(), 1), "deep"),
    );
    let depth = lines[0].get("a").unwrap().to_string().matches('{').count();
    assert!((10..=20).contains(&depth), "{depth}");
}

#[test]
fn a_sinks_level_changes_at_run_time_and_the_others_stay() {
    let (all, errors) = (Output::default(), Output::default());
    let sink = log::to(errors.clone()).level(Level::ERROR);
    let about_errors = sink.handle();
    let layer = log::layer().with_writer(all.clone()).level(Level::INFO).also(sink);
    let handle = layer.handle();
    with_default(registry().with(layer), || {
        let say = || {
            tracing::error!("e");
            tracing::info!("i");
            tracing::debug!("d");
        };
        say();
        about_errors.set_level(Level::DEBUG);
        say();
        about_errors.set_level(tracing::level_filters::LevelFilter::OFF);
        say();
        handle.set_level(Level::ERROR);
        say();
    });
    let messages = |output: &Output| {
        let lines = parse(&output.take(&handle));
        let of = lines.iter().map(|line| line.get("message").unwrap().as_str().unwrap().to_owned());
        of.collect::<String>()
    };
    assert_eq!(messages(&all), "eieieie");
    assert_eq!(messages(&errors), "eeide");
}
