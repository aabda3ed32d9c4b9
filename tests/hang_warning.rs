//! An exporter that hangs reports no failure: that nothing leaves is said all the same, and not often.

use redspan::export::{OtlpSettings, OtlpSink, Signal};
use redspan::instrumented;
use redspan_tests::process::alone;
use redspan_tests::{Behaviour, Hangs, Kept, Lines, Receiver};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

/// After how long it is said, and how long afterwards again: 15 s and a minute otherwise.
const AFTER: Duration = Duration::from_millis(400);
const AGAIN: Duration = Duration::from_millis(900);

/// Only a warning that never comes takes so long.
const LONG: Duration = Duration::from_secs(60);

/// The warnings that nothing has left.
fn warnings(lines: &Lines) -> Vec<String> {
    let text = lines.text();
    let said = text.lines().filter(|line| line.contains("no span has left this process"));
    said.map(str::to_owned).collect()
}

#[instrumented]
fn work() {}

/// Where nobody listens, and who sends spans there.
fn refused() -> (String, OtlpSink) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let sink = OtlpSink::new(OtlpSettings::http(&nobody)).unwrap();
    (nobody, sink)
}

#[test]
fn that_nothing_leaves_is_said_after_a_while_and_again_only_after_another() {
    let test = "that_nothing_leaves_is_said_after_a_while_and_again_only_after_another";
    alone(test, &[], || {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let settings = OtlpSettings::http(&receiver.http()).timeout(2 * LONG);
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .spans_to(OtlpSink::new(settings).unwrap())
            .batching(redspan::export::Batching::default().timeout(2 * LONG))
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .warning_of_a_hang(AFTER, AGAIN)
            .install()
            .unwrap();
        // A while without any spans is no hang.
        thread::sleep(2 * AFTER);
        assert_eq!(warnings(&lines), [""; 0]);

        let start = Instant::now();
        work();
        for times in 1..=3 {
            while warnings(&lines).len() < times {
                assert!(start.elapsed() < LONG, "{times}: {:?}", warnings(&lines));
                thread::sleep(Duration::from_millis(5));
            }
            let earliest = AFTER + AGAIN * (times as u32 - 1);
            assert!(start.elapsed() > earliest, "{times} after {:?}", start.elapsed());
            println!("{times} after {:?}: {}", start.elapsed(), warnings(&lines)[times - 1]);
        }
        // The span is on its way, or waits.
        assert!(warnings(&lines)[0].contains("\"waiting\":1"), "{:?}", warnings(&lines));
        telemetry.shutdown(Duration::from_millis(100));
        let all = start.elapsed().saturating_sub(AFTER).as_millis() / AGAIN.as_millis() + 1;
        assert!(warnings(&lines).len() as u128 <= all, "{:?}", warnings(&lines));
    });
}

#[test]
fn a_process_that_ends_without_its_receiver_says_why_its_spans_are_lost() {
    let test = "a_process_that_ends_without_its_receiver_says_why_its_spans_are_lost";
    alone(test, &[], || {
        let (_, refused) = refused();
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .spans_to(refused)
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .unwrap();
        work();
        telemetry.shutdown(Duration::from_secs(1));
        let text = lines.text();
        assert!(text.contains("spans could not be exported"), "{text}");
        assert!(text.contains("refused"), "{text}");
        assert!(!text.contains("the process ends before"), "{text}");
    });
}

#[test]
fn a_process_that_ends_before_its_spans_have_left_says_so() {
    let test = "a_process_that_ends_before_its_spans_have_left_says_so";
    alone(test, &[], || {
        let (let_go, hanging) = Hangs::until_dropped();
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .spans_to(hanging)
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .unwrap();
        work();
        work();
        telemetry.shutdown(Duration::from_millis(200));
        let text = lines.text();
        let said = text.lines().find(|line| line.contains("the process ends before these spans"));
        assert!(said.is_some_and(|line| line.contains("\"spans\":2")), "{text}");
        drop(let_go);
    });
}

#[test]
fn of_several_exporters_one_that_fails_is_told_although_the_first_takes_all() {
    let test = "of_several_exporters_one_that_fails_is_told_although_the_first_takes_all";
    alone(test, &[], || {
        let (nobody, refused) = refused();
        let (kept, lines) = (Kept::default(), Lines::default());
        let telemetry = redspan::builder()
            .spans_to(kept.clone())
            .spans_to(refused)
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .unwrap();
        work();
        telemetry.shutdown(Duration::from_secs(1));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
        let text = lines.text();
        let said = text.lines().find(|line| line.contains("spans could not be exported"));
        assert!(said.is_some_and(|line| line.contains("refused")), "{text}");
        let exporter = format!("\"exporter\":\"OTLP over HTTP/protobuf to {nobody}/v1/traces\"");
        assert!(said.is_some_and(|line| line.contains(&exporter)), "{text}");
        assert!(!text.contains("the process ends before"), "{text}");
    });
}

#[test]
fn of_several_exporters_one_that_hangs_is_told_and_what_it_loses_at_the_end() {
    let test = "of_several_exporters_one_that_hangs_is_told_and_what_it_loses_at_the_end";
    alone(test, &[], || {
        let (let_go, hanging) = Hangs::until_dropped();
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .spans_to(Kept::default())
            .spans_to(hanging)
            .batching(redspan::export::Batching::default().delay(Duration::from_millis(1)))
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .warning_of_a_hang(AFTER, LONG)
            .install()
            .unwrap();
        let start = Instant::now();
        work();
        let hangs = "one of the exporters has taken no span for a while";
        while !lines.text().contains(hangs) {
            assert!(start.elapsed() < LONG, "{}", lines.text());
            thread::sleep(Duration::from_millis(5));
        }
        work();
        telemetry.shutdown(Duration::from_millis(200));
        let text = lines.text();
        assert_eq!(text.matches(hangs).count(), 1, "{text}");
        assert!(warnings(&lines).is_empty(), "the first takes them: {text}");
        let said = text.lines().find(|line| line.contains("the process ends before these spans"));
        assert!(said.is_some_and(|line| line.contains("\"spans\":2")), "{text}");
        drop(let_go);
    });
}

#[test]
fn a_process_that_ends_before_its_log_records_have_left_says_so_where_lines_are() {
    let test = "a_process_that_ends_before_its_log_records_have_left_says_so_where_lines_are";
    alone(test, &[], || {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let to = OtlpSettings::http_for(Signal::Logs, &receiver.http()).timeout(2 * LONG);
        let records = redspan::log::otlp(to).unwrap();
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()).also(records))
            .install()
            .unwrap();
        tracing::info!("one");
        tracing::info!("two");
        assert!(!telemetry.shutdown(Duration::from_millis(200)));
        let text = lines.text();
        let said = text.lines().find(|line| line.contains("before these log records were taken"));
        // The line of the start is the third.
        assert!(said.is_some_and(|line| line.contains("\"records\":3")), "{text}");
        assert!(said.is_some_and(|line| line.contains(&receiver.http())), "{text}");
    });
}

#[test]
fn the_first_line_is_redspans_own_and_says_where_everything_goes() {
    let test = "the_first_line_is_redspans_own_and_says_where_everything_goes";
    alone(test, &[], || {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .unwrap();
        telemetry.shutdown(LONG);
        let text = lines.text();
        assert!(text.contains(telemetry.describe()), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    });
}
