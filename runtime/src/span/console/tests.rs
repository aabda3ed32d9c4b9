//! A console without a terminal and with a clock that is handed in.

use super::*;
use opentelemetry::trace::{Event, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use std::time::SystemTime;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn board() -> (Board, Page) {
    let page = Page::default();
    (Board::new(Box::new(page.clone()), false), page)
}

/// A span of trace 1 which starts after its older siblings and takes `micros`.
fn span(id: u64, parent: u64, name: &'static str, micros: u64) -> SpanData {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(id);
    let (trace, state) = (TraceId::from(1), TraceState::default());
    SpanData {
        span_context: SpanContext::new(trace, id.into(), TraceFlags::SAMPLED, false, state),
        parent_span_id: parent.into(),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: start,
        end_time: start + Duration::from_micros(micros),
        attributes: vec![],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("redspan").build(),
    }
}

fn remote(span: SpanData) -> SpanData {
    SpanData { parent_span_is_remote: true, span_kind: SpanKind::Server, ..span }
}

fn in_trace(trace: u128, span: SpanData) -> SpanData {
    let id = span.span_context.span_id();
    let state = TraceState::default();
    let context = SpanContext::new(trace.into(), id, TraceFlags::SAMPLED, false, state);
    SpanData { span_context: context, ..span }
}

#[test]
fn a_trace_is_a_tree_with_its_root_on_the_line_of_the_trace() {
    let (mut board, page) = board();
    let mut failed = span(4, 1, "answer", 40);
    failed.status = Status::error("no luck");
    let mut client = span(3, 2, "GET", 10_200);
    client.span_kind = SpanKind::Client;
    client.attributes = vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.response.status_code", 200),
        KeyValue::new("code.line.number", 7),
        KeyValue::new("sides", 6),
    ];
    client.events.events.push(Event::new("sent", SystemTime::now(), vec![], 0));
    let mut root = span(1, 0, "GET /rolldice", 12_400);
    root.span_kind = SpanKind::Server;
    board.take(vec![client, span(2, 1, "roll", 11_900), failed, root], Instant::now());
    assert_eq!(
        page.text(),
        "trace 00000000000000000000000000000001  GET /rolldice  server  12.4ms\n\
         ├─ roll  11.9ms\n\
         │  └─ GET  client  10.2ms  http.response.status_code=200  sides=6  1 event\n\
         └─ answer  40µs  error: no luck\n"
    );
    assert_eq!((board.spans, board.traces.len()), (0, 0));
}

#[test]
fn children_wait_for_their_root_over_several_batches() {
    let (mut board, page) = board();
    let now = Instant::now();
    board.take(vec![span(3, 2, "leaf", 1)], now);
    board.take(vec![span(2, 1, "middle", 2)], now);
    board.print_due(now + Duration::from_secs(3600));
    assert_eq!(page.text(), "");
    board.take(vec![span(1, 0, "root", 3)], now);
    let text = page.text();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["└─ middle  2µs", "   └─ leaf  1µs"]);
}

#[test]
fn a_root_with_a_remote_parent_waits_a_second_and_no_longer() {
    let (mut board, page) = board();
    let now = Instant::now();
    board.take(vec![remote(span(2, 9, "handler", 5)), span(3, 2, "inner", 1)], now);
    board.print_due(now + PATIENCE / 2);
    assert_eq!(page.text(), "");
    assert_eq!(board.next_due(), Some(now + PATIENCE));
    board.print_due(now + PATIENCE);
    let text = page.text();
    assert!(text.contains("handler  server  5µs  from 0000000000000009\n└─ inner"), "{text}");
}

#[test]
fn client_and_server_in_one_process_are_one_tree() {
    let (mut board, page) = board();
    let now = Instant::now();
    board.take(vec![remote(span(3, 2, "handler", 1))], now);
    // Its parent comes, so the root is near: the second no longer counts.
    board.take(vec![span(2, 1, "GET", 2)], now);
    board.print_due(now + PATIENCE * 2);
    assert_eq!(page.text(), "");
    board.take(vec![span(1, 0, "main", 3)], now);
    let text = page.text();
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(lines, ["└─ GET  2µs", "   └─ handler  server  1µs"]);
}

#[test]
fn what_comes_after_the_root_is_printed_a_second_later_as_late() {
    let (mut board, page) = board();
    let now = Instant::now();
    board.take(vec![span(1, 0, "root", 1)], now);
    board.take(vec![span(2, 1, "spawned", 1)], now);
    board.print_due(now + PATIENCE);
    let text = page.text();
    assert!(text.ends_with("(late)\n└─ spawned  1µs\n"), "{text}");
}

#[test]
fn the_oldest_trace_makes_room_and_says_that_it_is_incomplete() {
    let (mut board, page) = board();
    let batch = (1..=1_001).map(|trace| in_trace(trace, span(2, 1, "child", 1))).collect();
    board.take(batch, Instant::now());
    assert_eq!(board.traces.len(), MAX_TRACES);
    let text = page.text();
    assert_eq!(text, format!("trace {:032x}  (incomplete)\n└─ child  1µs\n", 1));

    board.take((2..30_000).map(|id| span(id, 1, "child", 1)).collect(), Instant::now());
    assert!(board.spans <= MAX_SPANS);
    board.print_all();
    assert_eq!((board.spans, board.traces.len()), (0, 0));
    assert_eq!(page.text().matches("child").count(), 1_001 + 29_998);
}

#[test]
fn how_it_ended_shows_whatever_way_it_was_told() {
    let (mut board, page) = board();
    let mut cancelled = span(2, 1, "a", 1);
    cancelled.attributes = vec![KeyValue::new("outcome", "cancelled")];
    let mut panicked = span(3, 1, "b", 1);
    panicked.attributes = vec![KeyValue::new("redspan.outcome", "panic")];
    panicked.status = Status::error("out of luck");
    let mut thrown = span(4, 1, "c", 1);
    thrown.status = Status::error("");
    let message = vec![KeyValue::new("exception.message", "no dice")];
    thrown.events.events.push(Event::new("exception", SystemTime::now(), message, 0));
    let mut fine = span(5, 1, "d", 1);
    fine.attributes = vec![KeyValue::new("outcome", "ok")];
    board.take(vec![cancelled, panicked, thrown, fine, span(1, 0, "root", 9)], Instant::now());
    let text = page.text();
    let lines: Vec<_> = text.lines().skip(1).map(|line| &line["├─ ".len()..]).collect();
    let expected =
        ["a  1µs  cancelled", "b  1µs  panic: out of luck", "c  1µs  error: no dice", "d  1µs"];
    assert_eq!(lines, expected);
}

#[test]
fn deep_traces_and_circles_neither_overflow_nor_loop() {
    let (mut board, page) = board();
    let deep = (2..5_000).map(|id| span(id, id - 1, "deep", 1)).chain([span(1, 0, "root", 1)]);
    board.take(deep.collect(), Instant::now());
    assert_eq!(page.text().lines().count(), 4_999);
    board.take(
        vec![in_trace(2, span(8, 9, "a", 1)), in_trace(2, span(9, 8, "b", 1))],
        Instant::now(),
    );
    board.print_all();
}

#[test]
fn only_a_coloured_console_writes_escapes() {
    let spans = [span(1, 0, "root", 1)];
    assert!(tree::render(1.into(), &spans, false, true).contains("\u{1b}[1mroot\u{1b}[0m"));
    assert!(!tree::render(1.into(), &spans, false, false).contains('\u{1b}'));
}

#[test]
fn what_a_stranger_sent_neither_steers_the_terminal_nor_turns_its_text() {
    let evil = "a\n\u{1b}[31m\u{202e}gpj.exe\u{2066}\u{2028}b";
    let mut spans = [span(1, 0, evil, 1)];
    spans[0].attributes = vec![KeyValue::new(evil, evil)];
    spans[0].status = Status::error(evil);
    let text = tree::render(1.into(), &spans, false, false);
    let escaped = r"a\n\u{1b}[31m\u{202e}gpj.exe\u{2066}\u{2028}b";
    assert_eq!(text.matches(escaped).count(), 4, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{2066}', '\u{2028}']), "{text:?}");
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_stdout_costs_the_spans_and_nothing_else() {
    let mut sink = ConsoleSink::to(Broken);
    let batch = vec![span(2, 1, "child", 1), span(1, 0, "root", 1)];
    let error = sink.export(batch, Duration::from_secs(1)).expect_err("counted");
    assert_eq!((error.kind, error.lost), ("other", Some(2)));
    sink.export(vec![], Duration::from_secs(1)).expect("counted once");
}

#[test]
fn a_waiting_trace_is_printed_without_another_batch() {
    let page = Page::default();
    let mut sink = ConsoleSink::to(page.clone());
    sink.export(vec![remote(span(2, 9, "handler", 5))], Duration::from_secs(1)).expect("taken");
    assert_eq!(page.text(), "");
    let start = Instant::now();
    while page.text().is_empty() && start.elapsed() < PATIENCE * 10 {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(page.text().contains("handler"));
}

#[test]
fn a_flush_prints_what_is_held_and_more_may_follow() {
    let (page, limit) = (Page::default(), Duration::from_secs(1));
    let mut sink = ConsoleSink::to(page.clone());
    sink.export(vec![remote(span(2, 9, "handler", 5))], limit).expect("taken");
    sink.flush(limit);
    assert!(page.text().contains("handler  server  5µs"), "{}", page.text());
    sink.export(vec![span(3, 2, "spawned", 1)], limit).expect("taken");
    sink.flush(limit);
    assert!(page.text().ends_with("(late)\n└─ spawned  1µs\n"), "{}", page.text());
}

#[test]
fn the_end_prints_what_is_held() {
    let page = Page::default();
    let mut sink = ConsoleSink::to(page.clone());
    sink.export(vec![span(2, 1, "child", 1)], Duration::from_secs(1)).expect("taken");
    sink.shutdown(Duration::from_secs(1));
    assert!(page.text().ends_with("(incomplete)\n└─ child  1µs\n"));
}
