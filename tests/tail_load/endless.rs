//! Traces that never end: their memory has a bound, and what it costs is counted.

use super::{LONG, MACHINE};
use opentelemetry::Context;
use redspan::export::{OtlpSettings, OtlpSink};
use redspan::{instrumented, tail};
use redspan_tests::Receiver;
use redspan_tests::process::{is_alone, run};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::thread;
use std::time::Duration;

const ROOTS: usize = 20_000;
const CHILDREN: usize = 400_000;
const MAX_BYTES: usize = 16 << 20;
/// Threads' buffers, spans on their way to the exporter, the allocator's own. What the children take
/// together is ten times as much as both.
const SLACK: usize = 24 << 20;

#[instrumented]
async fn endless(context: &std::sync::Mutex<Vec<Context>>) {
    context.lock().unwrap().push(Context::current());
    std::future::pending::<()>().await;
}

#[instrumented(fields(text = text))]
fn child(text: &str) -> usize {
    text.len()
}

#[instrumented]
fn fails() -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)
}

/// What the process occupies, where the system tells.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).map_or(0, |pages| pages.parse::<usize>().unwrap() * 4096)
}

fn begin<'a>(
    contexts: &'a std::sync::Mutex<Vec<Context>>,
) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    let mut root = Box::pin(endless(contexts));
    let waker = Waker::noop();
    assert!(root.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    root
}

fn serve() {
    let settings = OtlpSettings::http(&std::env::var("ENDPOINT").unwrap());
    let telemetry = redspan::builder()
        .tail(tail::policy().ratio(0.01).max_bytes(MAX_BYTES).max_age(Duration::from_secs(2)))
        .spans_to(OtlpSink::new(settings).unwrap())
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .install()
        .unwrap();
    let contexts = std::sync::Mutex::default();
    let mut roots: Vec<_> = (0..ROOTS).map(|_| begin(&contexts)).collect();
    let (running, text) = (contexts.lock().unwrap().clone(), "x".repeat(400));

    let (before, over) = (resident(), AtomicBool::new(false));
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Relaxed) {
                most = most.max(resident());
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let load: Vec<_> = (0..2)
            .map(|half| {
                let (running, text) = (&*running, &*text);
                scope.spawn(move || {
                    for n in 0..CHILDREN / 2 {
                        let _in = running[(2 * n + half) % ROOTS].clone().attach();
                        assert_eq!(child(text), 400);
                        if n % 100 == 0 {
                            thread::sleep(Duration::from_millis(3));
                        }
                    }
                })
            })
            .collect();
        load.into_iter().for_each(|thread| thread.join().unwrap());
        over.store(true, Relaxed);
        watch.join().unwrap()
    });
    let growth = most.saturating_sub(before);
    println!("memory: {} KiB before, {} KiB more at most", before >> 10, growth >> 10);
    assert!(growth <= MAX_BYTES + SLACK, "{growth}");

    assert!(telemetry.flush(LONG));
    let stats = telemetry.spans();
    println!("while the roots run: {stats:?}");
    assert_eq!(stats.sampled, (ROOTS + CHILDREN) as u64);
    assert_eq!(stats.sampled, stats.running + stats.pending + stats.exported + stats.dropped());
    assert_eq!(stats.running, ROOTS as u64);
    assert!(stats.dropped["tail_overflow"] > 0, "{stats:?}");
    assert!(stats.dropped.keys().all(|reason| reason.starts_with("tail_")), "{stats:?}");

    // At the end what is pending is decided, and what is kept is sent.
    roots.push(begin(&contexts));
    let last = contexts.lock().unwrap().last().unwrap().clone();
    {
        let _in = last.attach();
        assert!(fails().is_err());
    }
    assert!(telemetry.shutdown(LONG));
    let stats = telemetry.spans();
    println!("at the end: {stats:?}");
    assert_eq!((stats.running, stats.pending), (ROOTS as u64 + 1, 0));
    assert_eq!(stats.sampled, stats.running + stats.exported + stats.dropped());
    assert!(stats.dropped.keys().all(|reason| reason.starts_with("tail_")), "{stats:?}");
    println!("exported: {}", stats.exported);
}

#[test]
fn traces_that_never_end_take_no_more_memory_than_they_may() {
    let test = "endless::traces_that_never_end_take_no_more_memory_than_they_may";
    if is_alone(test) {
        return serve();
    }
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let receiver = Receiver::start();
    let said = run(test, &[("ENDPOINT", receiver.http())]);
    println!("{said}");
    let spans = receiver.take();
    assert!(said.contains(&format!("exported: {}\n", spans.len())), "{}", spans.len());
    let failed = spans.iter().filter(|span| span.name == "fails").count();
    assert_eq!(failed, 1, "pending at the shutdown, and kept");
}
