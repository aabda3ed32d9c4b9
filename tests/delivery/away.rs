//! Receivers that are not there, come, go and come back.

use super::{LONG, adds_up, calls, installed, outer, pairs, settings, shared_machine, until};
use redspan::export::OtlpSink;
use redspan::{SpanStats, Telemetry};
use redspan_tests::process::{alone, resident};
use redspan_tests::{Behaviour, Receiver, Transport, page};
use std::collections::HashSet;
use std::thread;
use std::time::Duration;

/// Gives a batch up after two seconds: a busy machine's receiver has answered by then.
fn sink(receiver: &Receiver, transport: Transport) -> OtlpSink {
    OtlpSink::new(settings(receiver, transport).timeout(Duration::from_secs(2))).unwrap()
}

/// What `/metrics` says of the same numbers.
fn on_the_page(telemetry: &Telemetry) -> SpanStatsOnThePage {
    let address = telemetry.metrics_address().unwrap();
    let page = page::get(address, "/metrics", LONG).unwrap();
    let value = |line: &str| line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() as u64;
    let sum = |name: &str| page.lines().filter(|line| line.starts_with(name)).map(value).sum();
    let dropped = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("otel_sdk_processor_span_processed_total{error_type=\"")?;
        Some((rest.split('"').next()?.to_owned(), value(line)))
    });
    SpanStatsOnThePage {
        sampled: sum("otel_sdk_span_started_total"),
        running: sum("otel_sdk_span_live "),
        exported: sum("otel_sdk_exporter_span_exported_total"),
        dropped: dropped.collect(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct SpanStatsOnThePage {
    sampled: u64,
    running: u64,
    exported: u64,
    dropped: Vec<(String, u64)>,
}

impl From<SpanStats> for SpanStatsOnThePage {
    fn from(stats: SpanStats) -> Self {
        let dropped = stats.dropped.iter().map(|(&reason, &count)| (reason.to_owned(), count));
        SpanStatsOnThePage {
            sampled: stats.sampled,
            running: stats.running,
            exported: stats.exported,
            dropped: dropped.collect(),
        }
    }
}

/// What the page names has arrived: nothing of the spans that were lost shows.
fn no_exemplar_dangles(telemetry: &Telemetry, receiver: &Receiver) {
    let page = page::get(telemetry.metrics_address().unwrap(), "/metrics", LONG).unwrap();
    let shown: HashSet<_> = page
        .lines()
        .filter_map(|line| {
            let (_, exemplar) = line.split_once(" # {trace_id=\"")?;
            let (trace, rest) = exemplar.split_once("\",span_id=\"")?;
            Some((trace.to_owned(), rest.split_once('"')?.0.to_owned()))
        })
        .collect();
    let spans = receiver.spans();
    let arrived: HashSet<_> =
        spans.iter().map(|span| (span.trace_id.clone(), span.span_id.clone())).collect();
    assert!(shown.len() >= 2, "{page}");
    assert!(shown.is_subset(&arrived), "{:?}", shown.difference(&arrived));
}

fn comes_and_goes(test: &str, transport: Transport) {
    let _with_others = shared_machine();
    alone(test, &[], || {
        let mut receiver = Receiver::absent();
        let telemetry = installed(sink(&receiver, transport));

        // Nobody there: the calls run on, and what is lost has a name.
        pairs(250);
        assert_eq!((calls("outer"), calls("inner")), (250, 250));
        assert!(telemetry.flush(LONG), "a flush ends although nobody takes the spans");
        let absent = telemetry.spans();
        println!("nobody there: {absent:?}");
        assert_eq!((absent.sampled, absent.running, absent.exported), (500, 0, 0));
        assert_eq!(absent.dropped.keys().collect::<Vec<_>>(), [&"connection"]);
        adds_up(&absent);
        assert_eq!(on_the_page(&telemetry), absent.clone().into());

        // Spans that wait when it comes back arrive, and what follows too.
        receiver.restart();
        let took = until("flowing", || {
            pairs(10);
            receiver.count() > 0
        });
        println!("flowing {took:.1?} after it came");
        assert!(took < Duration::from_secs(10), "{took:?}");
        let before = telemetry.spans();
        pairs(500);
        assert!(telemetry.flush(LONG));
        let back = telemetry.spans();
        assert_eq!(back.dropped, before.dropped, "nothing is lost any more");
        assert_eq!(receiver.count() as u64, back.exported);
        adds_up(&back);

        // Gone in the middle, and back.
        receiver.stop();
        pairs(250);
        assert!(telemetry.flush(LONG));
        let gone = telemetry.spans();
        println!("gone: {gone:?}");
        assert!(gone.dropped() > back.dropped());
        no_exemplar_dangles(&telemetry, &receiver);
        adds_up(&gone);
        receiver.restart();
        let had = receiver.count();
        let took = until("flowing again", || {
            pairs(10);
            receiver.count() > had
        });
        println!("flowing {took:.1?} after it came back");
        assert!(took < Duration::from_secs(10), "{took:?}");
        pairs(500);
        assert!(telemetry.flush(LONG));
        let again = telemetry.spans();
        assert_eq!(on_the_page(&telemetry), again.into());
        no_exemplar_dangles(&telemetry, &receiver);

        assert!(telemetry.shutdown(LONG));
        let end = telemetry.spans();
        println!("at the end: {end:?}, received {}", receiver.count());
        assert_eq!(end.exported, receiver.count() as u64);
        assert_eq!((end.sampled, end.running), (2 * calls("outer"), 0));
        adds_up(&end);
    });
}

#[test]
fn a_grpc_receiver_may_come_and_go() {
    comes_and_goes("away::a_grpc_receiver_may_come_and_go", Transport::Grpc);
}

#[test]
fn an_http_receiver_may_come_and_go() {
    comes_and_goes("away::an_http_receiver_may_come_and_go", Transport::Http);
}

#[test]
fn the_queue_is_bounded_and_what_it_refuses_is_counted() {
    let test = "away::the_queue_is_bounded_and_what_it_refuses_is_counted";
    let _with_others = shared_machine();
    alone(test, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2048".into())], || {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let telemetry = installed(sink(&receiver, Transport::Grpc));
        pairs(2_000);
        let before = resident();
        // As fast as it goes, from threads that each have a buffer of their own.
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50_000).for_each(|n| assert_eq!(outer(n), n + 1)));
            }
        });
        let grown = resident().zip(before).map(|(now, before)| now.saturating_sub(before));
        assert_eq!((calls("outer"), calls("inner")), (202_000, 202_000));
        let page = on_the_page(&telemetry);
        println!("memory grew by {grown:?} bytes; the page: {page:?}");
        // 400,000 spans would be some 200 MB.
        assert!(grown.is_none_or(|bytes| bytes < 64 << 20), "{grown:?}");
        let reasons: Vec<_> = page.dropped.iter().map(|(reason, _)| reason.as_str()).collect();
        assert!(reasons.contains(&"queue_full"), "{page:?}");

        receiver.behave(Behaviour::Take);
        assert!(telemetry.flush(LONG));
        let stats = telemetry.spans();
        println!("after a flush: {stats:?}, received {}", receiver.count());
        // No more were kept than the queue holds, and the batch that was on its way.
        assert!(receiver.count() <= 2_048 + 512, "{}", receiver.count());
        assert!(receiver.count() >= 1_024);
        assert_eq!(stats.exported, receiver.count() as u64);
        assert_eq!((stats.sampled, stats.running), (404_000, 0));
        adds_up(&stats);
    });
}
