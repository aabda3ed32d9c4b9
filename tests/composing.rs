//! What an application brings along works beside redspan's own: exporters, processors, layers.

use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanProcessor};
use opentelemetry_sdk::{Resource, trace};
use redspan::export::{Batching, ExportError, OtlpSettings, OtlpSink, SpanSink, WhenFull};
use redspan::{Preset, instrumented};
use redspan_tests::process::{alone, is_alone, run};
use redspan_tests::{Behaviour, Hangs, Kept, Receiver, Value, page};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(10);

#[instrumented]
fn work(number: u64) -> u64 {
    number
}

/// Two thousand calls, in no haste.
fn works() {
    for number in 0..2_000 {
        work(number);
        if number % 5 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits until the spans of all those calls are there.
fn has_all(kept: &Kept, telemetry: &redspan::Telemetry) {
    let start = Instant::now();
    while kept.0.lock().unwrap().len() < 2_000 {
        assert!(start.elapsed() < LONG, "{}", telemetry.health());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_several_exporters_one_that_hangs_holds_up_no_other() {
    alone("of_several_exporters_one_that_hangs_holds_up_no_other", &[], || {
        let (let_go, hanging) = Hangs::until_dropped();
        let (kept, also, late) = (Kept::default(), Kept::default(), hanging.taken.clone());
        let telemetry = redspan::builder()
            .spans_to(kept.clone())
            .spans_to(hanging)
            .spans_to(also.clone())
            .batching(Batching::default().queue(1_000).batch(10).delay(Duration::from_millis(10)))
            .install()
            .expect("installed");
        works();
        // It waits for all of them, but for the one that hangs not for ever.
        telemetry.flush(Duration::from_millis(500));
        let health = telemetry.health();
        assert_eq!(health.exporters.len(), 3);
        assert_eq!((health.spans.exported, kept.0.lock().unwrap().len()), (2_000, 2_000));
        has_all(&also, &telemetry);
        // It has one batch, a thousand wait, and the rest was dropped and counted.
        let dropped = health.exporters[1].dropped["queue_full"];
        assert!((980..=1_000).contains(&dropped), "{health}");
        drop(let_go);
        assert!(telemetry.shutdown(LONG));
        assert_eq!(late.load(Relaxed) as u64 + dropped, 2_000, "{}", telemetry.health());
    });
}

#[test]
fn the_first_of_several_exporters_holds_up_no_other_either() {
    alone("the_first_of_several_exporters_holds_up_no_other_either", &[], || {
        let (let_go, hanging) = Hangs::until_dropped();
        let (also, late) = (Kept::default(), hanging.taken.clone());
        let telemetry = redspan::builder()
            .spans_to(hanging)
            .spans_to(also.clone())
            .batching(Batching::default().queue(1_000).batch(10).delay(Duration::from_millis(10)))
            .install()
            .expect("installed");
        works();
        has_all(&also, &telemetry);
        assert_eq!(telemetry.health().exporters[1].exported, 2_000);
        drop(let_go);
        assert!(telemetry.shutdown(LONG));
        let stats = telemetry.spans();
        assert_eq!((stats.sampled, stats.exported + stats.dropped()), (2_000, 2_000), "{stats:?}");
        assert_eq!(stats.exported, late.load(Relaxed) as u64);
    });
}

#[test]
fn what_others_hold_back_leaves_at_the_end_although_the_first_hangs() {
    let test = "what_others_hold_back_leaves_at_the_end_although_the_first_hangs";
    alone(test, &[], || {
        let (_never, hanging) = Hangs::until_dropped();
        let also = Kept::default();
        let telemetry = redspan::builder()
            .spans_to(hanging)
            .spans_to(also.clone())
            .batching(Batching::default().delay(Duration::from_secs(3_600)))
            .install()
            .expect("installed");
        work(1);
        assert!(!telemetry.shutdown(Duration::from_secs(1)));
        assert_eq!(also.0.lock().unwrap().len(), 1);
    });
}

/// Counts what it is told.
#[derive(Debug, Default, Clone)]
struct Counts(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    ended: Vec<String>,
    flushes: usize,
    shut_down: bool,
    service: String,
}

impl SpanProcessor for Counts {
    fn on_start(&self, _: &mut trace::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().ended.push(span.name.into_owned());
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.lock().unwrap().flushes += 1;
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.0.lock().unwrap().shut_down = true;
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        let name = resource.get(&"service.name".into());
        self.0.lock().unwrap().service = name.map(|name| name.to_string()).unwrap_or_default();
    }
}

#[test]
fn processors_and_functions_see_each_span_and_may_change_it() {
    alone("processors_and_functions_see_each_span_and_may_change_it", &[], || {
        let (kept, counts) = (Kept::default(), Counts::default());
        let telemetry = redspan::builder()
            .service_name("shop")
            .spans_to(kept.clone())
            .on_span_end(|_| panic!("somebody else's mistake"))
            .on_span_end(|span| span.attributes.push(KeyValue::new("cell", "eu-3")))
            .span_processor(counts.clone())
            .install()
            .expect("installed");
        for number in 0..10 {
            work(number);
        }
        assert!(telemetry.flush(LONG));
        {
            let spans = kept.0.lock().unwrap();
            assert_eq!(spans.len(), 10);
            assert!(spans.iter().all(|it| it.attributes.contains(&KeyValue::new("cell", "eu-3"))));
            let counted = counts.0.lock().unwrap();
            assert_eq!((counted.ended.len(), counted.flushes, counted.shut_down), (10, 1, false));
            assert_eq!((counted.ended[0].as_str(), counted.service.as_str()), ("work", "shop"));
        }
        assert!(telemetry.shutdown(LONG));
        assert!(counts.0.lock().unwrap().shut_down, "it was shut down");
    });
}

#[test]
fn a_processor_alone_is_a_way_out_too() {
    alone("a_processor_alone_is_a_way_out_too", &[], || {
        let counts = Counts::default();
        let telemetry =
            redspan::builder().span_processor(counts.clone()).install().expect("installed");
        work(1);
        assert!(telemetry.flush(LONG));
        assert_eq!(counts.0.lock().unwrap().ended, ["work"]);
        assert!(telemetry.describe().contains("span processors"), "{}", telemetry.describe());
    });
}

/// Which numbers a full queue kept, of 0 to 999.
fn kept_of_a_full_queue(when_full: WhenFull) -> Vec<i64> {
    let (let_go, hanging) = mpsc::channel::<()>();
    struct Gate(mpsc::Receiver<()>, Kept);
    impl SpanSink for Gate {
        fn describe(&self) -> String {
            "a gate".into()
        }
        fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
            let _ = self.0.recv();
            self.1.export(batch, timeout)
        }
    }
    let kept = Kept::default();
    let batching = Batching::default().queue(100).batch(10).when_full(when_full);
    let telemetry = redspan::builder()
        .spans_to(Gate(hanging, kept.clone()))
        .batching(batching.delay(Duration::from_millis(1)))
        .install()
        .expect("installed");
    for number in 0..1_000_i64 {
        redspan::span("numbered").attribute("number", number).in_scope(|_| ());
        if number % 50 == 0 {
            // The collector comes by.
            telemetry.flush(Duration::from_millis(20));
        }
    }
    telemetry.flush(Duration::from_millis(200));
    drop(let_go);
    assert!(telemetry.shutdown(LONG));
    let stats = telemetry.spans();
    assert_eq!(stats.exported + stats.dropped(), 1_000, "{stats:?}");
    assert_eq!(stats.dropped.keys().collect::<Vec<_>>(), [&"queue_full"]);
    let spans = kept.0.lock().unwrap();
    let value = |span: &SpanData| {
        let number = span.attributes.iter().find(|it| it.key.as_str() == "number")?;
        number.value.to_string().parse().ok()
    };
    spans.iter().filter_map(value).collect()
}

#[test]
fn a_full_queue_drops_the_newest_by_default() {
    alone("a_full_queue_drops_the_newest_by_default", &[], || {
        let kept = kept_of_a_full_queue(WhenFull::DropNewest);
        assert!(kept.len() < 200 && kept.iter().all(|&number| number < 200), "{kept:?}");
    });
}

#[test]
fn a_full_queue_drops_the_oldest_when_asked() {
    alone("a_full_queue_drops_the_oldest_when_asked", &[], || {
        let kept = kept_of_a_full_queue(WhenFull::DropOldest);
        assert!(kept.ends_with(&[998, 999]), "{kept:?}");
        // The first batch was already with the exporter.
        assert!(kept.iter().filter(|&&number| number < 800).count() <= 10, "{kept:?}");
    });
}

#[test]
fn health_says_what_became_of_spans_and_why() {
    alone("health_says_what_became_of_spans_and_why", &[], || {
        let receiver = Receiver::start();
        let settings = OtlpSettings::http(&receiver.http()).header("authorization", "s3cret");
        let telemetry = redspan::builder()
            .service_name("shop")
            .spans_to(OtlpSink::new(settings).expect("a sink"))
            .metrics_at(([127, 0, 0, 1], 0).into())
            .install()
            .expect("installed");
        work(1);
        assert!(telemetry.flush(LONG));
        let health = telemetry.health();
        assert!(health.is_well() && health.to_string().starts_with("ok: 1 spans"), "{health}");
        assert_eq!(health.service.0, "shop");

        receiver.behave(Behaviour::Refuse(400));
        work(2);
        assert!(telemetry.flush(LONG));
        let health = telemetry.health();
        assert!(!health.is_well(), "{health}");
        assert_eq!(health.exporters[0].dropped["rejected"], 1);
        let address = telemetry.metrics_address().expect("it is served");
        let json = page::get(address, "/health", LONG).expect("a page");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["status"], "degraded");
        assert_eq!(json["spans"]["dropped"]["rejected"], 1);
        assert_eq!(json["service"]["name"], "shop");
        let error = json["exporters"][0]["last_error"].as_str().expect("a text");
        assert!(error.contains("400"), "{error}");

        receiver.behave(Behaviour::Take);
        work(3);
        assert!(telemetry.flush(LONG) && telemetry.health().is_well());
        let metrics = page::get(address, "/metrics", LONG).expect("a page");
        for line in [
            "otel_sdk_span_started_total{otel_span_sampling_result=\"RECORD_AND_SAMPLE\"} 3",
            "otel_sdk_exporter_span_exported_total 2",
            "otel_sdk_processor_span_processed_total{error_type=\"rejected\"} 1",
            "otel_sdk_processor_span_queue_capacity 65536",
            "otel_sdk_processor_span_queue_size 0",
            "otel_sdk_exporter_span_inflight{",
            "otel_sdk_exporter_operation_duration_seconds_count{error_type=\"rejected\",",
            "redspan_sampler_decisions_total{decision=\"sample\"",
            "service_name=\"shop\"",
        ] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
        assert!(!format!("{health}{health:?}{json}{metrics}").contains("s3cret"));
    });
}

#[test]
fn one_identity_stands_in_traces_and_on_the_page() {
    alone("one_identity_stands_in_traces_and_on_the_page", &[], || {
        let receiver = Receiver::start();
        let telemetry = redspan::builder()
            .service_name("shop")
            .service_version("1.2.3")
            .resource_attribute("deployment.environment.name", "staging")
            .spans_to(OtlpSink::new(OtlpSettings::http(&receiver.http())).expect("a sink"))
            .metrics_at(([127, 0, 0, 1], 0).into())
            .install()
            .expect("installed");
        work(1);
        assert!(telemetry.flush(LONG));
        let resource = receiver.wait_for(1, LONG)[0].resource.clone();
        let address = telemetry.metrics_address().expect("it is served");
        let metrics = page::get(address, "/metrics", LONG).expect("a page");
        let target = metrics.lines().find(|line| line.starts_with("target_info{")).expect("it");
        for key in [
            "service.name",
            "service.version",
            "service.instance.id",
            "deployment.environment.name",
            "host.name",
            "host.arch",
            "os.type",
            "process.executable.name",
            "telemetry.sdk.name",
        ] {
            let Some(Value::Text(value)) = resource.get(key) else { panic!("{key}: {resource:?}") };
            let label = format!("{}=\"{value}\"", key.replace('.', "_"));
            assert!(target.contains(&label), "{label} in {target}");
        }
        assert!(telemetry.resource().schema_url().is_some());
    });
}

#[test]
fn in_tests_nothing_leaves_and_the_environment_is_not_read() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned())];
    alone("in_tests_nothing_leaves_and_the_environment_is_not_read", &variables, || {
        let telemetry = redspan::builder().preset(Preset::Testing).install().expect("installed");
        work(1);
        assert_eq!(telemetry.spans().sampled, 0);
        let said = telemetry.describe();
        assert!(said.contains("(testing)") && said.contains("not exported"), "{said}");
    });
}

#[test]
fn a_preset_prints_what_it_says_also_where_stdout_is_no_terminal() {
    let test = "a_preset_prints_what_it_says_also_where_stdout_is_no_terminal";
    if is_alone(test) {
        let preset = match std::env::var("PRESET").as_deref() {
            Ok("development") => Preset::Development,
            _ => Preset::Testing,
        };
        let _telemetry = redspan::builder()
            .preset(preset)
            .metrics_at(([127, 0, 0, 1], 0).into())
            .install()
            .unwrap();
        return tracing::info!(n = 1, "a line");
    }
    let printed = |preset: &str| run(test, &[("PRESET", preset.to_owned())]);
    let development = printed("development");
    assert!(development.contains("INFO composing: a line n=1"), "{development}");
    let testing = printed("testing");
    assert!(!testing.contains("a line") && !testing.contains("redspan 0."), "{testing}");
}

#[test]
fn a_logger_that_was_there_before_is_told_at_the_start() {
    struct Theirs;
    impl log::Log for Theirs {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    alone("a_logger_that_was_there_before_is_told_at_the_start", &[], || {
        log::set_logger(&Theirs).unwrap();
        let telemetry = redspan::builder().install().expect("installed");
        let said = telemetry.describe();
        assert!(said.contains("another logger of the crate `log` is installed"), "{said}");
    });
}

#[test]
fn that_nobody_has_named_the_service_is_told_at_the_start() {
    alone("that_nobody_has_named_the_service_is_told_at_the_start", &[], || {
        let telemetry = redspan::builder().install().expect("installed");
        let said = telemetry.describe();
        assert!(said.starts_with("unknown_service:"), "{said}");
        assert!(said.contains(" (OTEL_SERVICE_NAME names it), "), "{said}");
    });
}

#[test]
fn a_layer_that_turns_tracing_spans_on_is_told_at_the_start() {
    alone("a_layer_that_turns_tracing_spans_on_is_told_at_the_start", &[], || {
        struct Everything;
        impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Everything {}
        let telemetry = redspan::builder().layer(Everything).install().expect("installed");
        let said = telemetry.describe();
        assert!(said.contains("functions make tracing spans too"), "{said}");
    });
}

/// Libraries ask `log` before they render what nobody will read; sqlx does so for each query.
#[test]
fn what_no_line_and_no_span_takes_is_off_for_the_crate_log_too() {
    alone("what_no_line_and_no_span_takes_is_off_for_the_crate_log_too", &[], || {
        let telemetry = redspan::builder().spans_to(Kept::default()).install().expect("installed");
        let takes = |level| log::log_enabled!(target: "sqlx::query", level);
        assert!(takes(log::Level::Info) && !takes(log::Level::Debug));
        telemetry.set_log_filter("sqlx=debug").expect("a directive");
        assert!(takes(log::Level::Debug), "it follows what is said later");
    });
}
