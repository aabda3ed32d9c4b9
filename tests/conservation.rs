//! One call, one outcome, whatever happens: started = ok + error + panic + cancelled + in flight,
//! for each function, and every sampled span is exported or counted as dropped.
//!
//! A million calls from several threads and tasks, with a seeded mix of everything that ends a
//! function.

use anyhow::bail;
use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use redspan::{Outcome, instrumented};
use redspan_tests::Random;
use std::collections::HashMap;
use std::future::Future;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

#[instrumented]
fn fine(n: u64) -> u64 {
    n + 1
}

#[instrumented]
fn fails(n: u64) -> Result<u64, std::num::ParseIntError> {
    let text = if n.is_multiple_of(2) { "7" } else { "seven" };
    let number: u64 = text.parse()?;
    if n.is_multiple_of(4) {
        return Ok(number);
    }
    Ok(number + 1)
}

#[instrumented]
fn bails(n: u64) -> anyhow::Result<u64> {
    if n.is_multiple_of(3) {
        bail!("three");
    }
    let answer = fails(n)?;
    Ok(answer)
}

/// Its destructor calls an instrumented function, also while unwinding.
struct Tidy;

impl Drop for Tidy {
    fn drop(&mut self) {
        tidied();
    }
}

#[instrumented]
fn tidied() {}

struct Expected;

#[instrumented]
fn panics(n: u64) -> u64 {
    let _tidy = Tidy;
    if n.is_multiple_of(5) {
        // Without the hook's message.
        std::panic::resume_unwind(Box::new(Expected));
    }
    fine(n)
}

#[instrumented]
fn recurses(depth: u64) -> u64 {
    if depth == 0 { 0 } else { 1 + recurses(depth - 1) }
}

#[instrumented]
async fn waits(times: u64) -> u64 {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    fine(times)
}

#[instrumented]
async fn never_ready() {
    let _tidy = Tidy;
    std::future::pending::<()>().await;
}

#[instrumented]
async fn panics_between_polls(n: u64) -> u64 {
    tokio::task::yield_now().await;
    panics(n)
}

#[instrumented]
async fn fails_later(n: u64) -> Result<u64, std::num::ParseIntError> {
    tokio::task::yield_now().await;
    let n = fails(n)?;
    tokio::task::yield_now().await;
    Ok(n)
}

#[instrumented]
async fn recurses_async(depth: u64) -> u64 {
    if depth == 0 { 0 } else { 1 + Box::pin(recurses_async(depth - 1)).await }
}

fn sync_mix(random: &mut Random) {
    let n = random.below(1 << 20) as u64;
    match random.below(6) {
        0 => drop(fine(n)),
        1 => drop(fails(n)),
        2 => drop(bails(n)),
        3 => drop(catch_unwind(|| panics(n))),
        4 => drop(recurses(n % 8)),
        _ => {
            // Begun on one thread and polled on another.
            let mut hops = Box::pin(waits(2));
            let _ = poll_once(hops.as_mut());
            if n.is_multiple_of(64) {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let _ = poll_once(hops.as_mut());
                    });
                });
            }
        }
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

async fn async_mix(random: &mut Random) {
    let n = random.below(1 << 20) as u64;
    match random.below(8) {
        0 => drop(waits(n % 3).await),
        1 => drop(tokio::time::timeout(Duration::ZERO, never_ready()).await),
        2 => {
            tokio::select! {
                biased;
                () = never_ready() => {}
                _ = waits(1) => {}
            }
        }
        // Never polled: no call.
        3 => drop(never_ready()),
        4 => {
            let _ = tokio::spawn(panics_between_polls(n)).await;
        }
        5 => drop(fails_later(n).await),
        6 => drop(recurses_async(n % 5).await),
        _ => {
            let mut future = std::pin::pin!(fails_later(n));
            let _ =
                std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        }
    }
}

/// Counts the spans it is given, by name.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<HashMap<String, u64>>>);

impl SpanSink for Tally {
    fn describe(&self) -> String {
        "a tally".into()
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        let mut tally = self.0.lock().unwrap();
        for span in batch {
            *tally.entry(span.name.into_owned()).or_default() += 1;
        }
        Ok(())
    }
}

const CALLS: u64 = 1_000_000;

/// Three threads and eight tasks at once.
fn round(runtime: &tokio::runtime::Runtime, number: u64, per_thread: u64, per_task: u64) {
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                let mut random = Random(number << 8 | thread);
                (0..per_thread).for_each(|_| sync_mix(&mut random));
            });
        }
        runtime.block_on(async {
            let tasks: Vec<_> = (0..8)
                .map(|task| {
                    tokio::spawn(async move {
                        let mut random = Random(number << 16 | task << 4 | 3);
                        for _ in 0..per_task {
                            async_mix(&mut random).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn every_call_ends_once_and_every_span_is_accounted_for() {
    let tally = Tally::default();
    let quiet = redspan::log::layer().with_writer(std::io::sink());
    let telemetry = redspan::builder().spans_to(tally.clone()).logs(quiet).install().unwrap();
    // Panics of tokio tasks go through the hook otherwise.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = || redspan::catalog().map(|site| site.red().started()).sum::<u64>();
    let flush = || assert!(telemetry.flush(Duration::from_secs(60)));
    let mut rounds = 0..;

    // At a pace that the pipeline keeps up with: every span of every function arrives.
    while started() < CALLS * 4 / 5 {
        round(&runtime, rounds.next().unwrap(), 300, 60);
        flush();
    }
    let exported = tally.0.lock().unwrap().clone();
    assert_eq!(telemetry.spans().dropped(), 0, "{:?}", telemetry.spans());
    for site in redspan::catalog() {
        assert_eq!(exported.get(site.name()), Some(&site.red().started()), "{site:?}");
    }

    // A flood: what does not fit is counted.
    while started() < CALLS {
        round(&runtime, rounds.next().unwrap(), 10_000, 2_000);
    }
    drop(runtime);
    flush();

    let exported = tally.0.lock().unwrap().clone();
    let mut ends = HashMap::new();
    let mut calls = 0;
    for site in redspan::catalog() {
        let red = site.red();
        assert_eq!(red.in_flight(), 0, "{site:?}");
        let outcomes: u64 = Outcome::ALL.iter().map(|&outcome| red.count(outcome)).sum();
        assert_eq!(red.started(), outcomes, "{site:?}");
        for outcome in Outcome::ALL {
            *ends.entry(outcome).or_insert(0) += red.count(outcome);
        }
        assert!(exported[site.name()] <= red.started(), "{site:?}");
        calls += red.started();
    }
    let spans = telemetry.spans();
    println!("{calls} calls: {ends:?}; {spans:?}");
    assert!(calls >= CALLS);
    assert!(Outcome::ALL.iter().all(|outcome| ends[outcome] > 1_000), "{ends:?}");
    assert_eq!((spans.sampled, spans.running), (calls, 0));
    assert_eq!(spans.exported, exported.values().sum::<u64>());
    assert_eq!(spans.exported + spans.dropped(), spans.sampled);
}
