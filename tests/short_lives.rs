//! Threads and tasks that live for one call: nothing of them is lost uncounted, and nothing stays.
//!
//! In short with `cargo test`; `REDSPAN_LONG=1` makes 100,000 threads and 1,000,000 tasks.

use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use redspan::instrumented;
use redspan_tests::counting::{self, Counting};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts the spans it is given.
struct Counted;

static TAKEN: AtomicU64 = AtomicU64::new(0);

impl SpanSink for Counted {
    fn describe(&self) -> String {
        String::from("nobody")
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        TAKEN.fetch_add(batch.len() as u64, Relaxed);
        Ok(())
    }
}

#[instrumented(fields(order = order))]
fn in_a_thread(order: u64) -> Result<u64, std::fmt::Error> {
    if order.is_multiple_of(7) { Err(std::fmt::Error) } else { Ok(order) }
}

#[instrumented]
async fn in_a_task(order: u64) -> u64 {
    tokio::task::yield_now().await;
    order
}

fn numbers(function: &str) -> redspan::Red {
    redspan::catalog().find(|site| site.function() == function).expect(function).red()
}

/// Bytes that may stay: the exporter's queue and what fills it keep the room that the largest burst needed.
/// In the long form that is less than 64 bytes for each thread and task.
const STAYS: u64 = 64 << 20;

#[test]
fn short_threads_and_tasks_are_counted_and_leave_nothing() {
    let long = std::env::var("REDSPAN_LONG").is_ok();
    let (threads, tasks) = if long { (100_000, 1_000_000) } else { (2_000, 20_000) };
    let telemetry = redspan::builder().spans_to(Counted).install().unwrap();

    let mut before = None;
    let mut started = 0;
    while started < threads {
        let round: Vec<_> = (0..50)
            .map(|n| std::thread::spawn(move || _ = std::hint::black_box(in_a_thread(started + n))))
            .collect();
        started += round.len() as u64;
        round.into_iter().for_each(|thread| thread.join().unwrap());
        if started == 1_000 {
            assert!(telemetry.flush(Duration::from_secs(30)));
            before = Some(counting::held());
        }
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut made = 0;
        while made < tasks {
            let round: Vec<_> = (0..1_000).map(|n| tokio::spawn(in_a_task(made + n))).collect();
            made += round.len() as u64;
            for task in round {
                task.await.unwrap();
            }
        }
    });
    drop(runtime);

    assert!(telemetry.flush(Duration::from_secs(60)));
    for (function, calls) in [("in_a_thread", threads), ("in_a_task", tasks)] {
        let red = numbers(function);
        assert_eq!(
            (red.started(), red.finished(), red.in_flight()),
            (calls, calls, 0),
            "{function}"
        );
    }
    let spans = telemetry.spans();
    assert_eq!((spans.sampled, spans.running), (threads + tasks, 0), "{spans:?}");
    // Each reached the exporter, or is counted as dropped.
    assert_eq!(spans.exported + spans.dropped(), threads + tasks, "{spans:?}");
    assert_eq!(TAKEN.load(Relaxed), spans.exported);
    let grown = counting::held().saturating_sub(before.expect("a thousand threads ran"));
    assert!(grown <= STAYS, "{grown} bytes stayed: {spans:?}");
    println!(
        "{threads} threads, {tasks} tasks: {spans:?}; {grown} bytes more than after 1,000 threads"
    );
}
