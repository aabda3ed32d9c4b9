//! A service whose calls end in every way.

use opentelemetry::trace::FutureExt;
use redspan::{Outcome, instrumented};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Numbers that are spread evenly, and the same in every run.
fn scattered(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[instrumented]
fn order(n: u64) -> Result<u64, std::num::ParseIntError> {
    let shard = n % 8;
    metrics::counter!("orders_placed", "shard" => shard.to_string()).increment(1);
    let text = if n.is_multiple_of(7) { "none" } else { "12" };
    spend(Duration::from_nanos(n % 300_000));
    text.parse()
}

#[instrumented]
fn basket(n: u64) -> u64 {
    // From bytes to gigabytes: a bucket for each.
    let bytes = 10_f64.powf((n % 10_000) as f64 / 1_000.0);
    metrics::histogram!("basket_bytes", "shard" => (n % 8).to_string()).record(bytes);
    n
}

#[instrumented]
fn may_panic(n: u64) -> u64 {
    if n.is_multiple_of(5) {
        // Without the hook's message.
        std::panic::resume_unwind(Box::new(n));
    }
    n
}

#[instrumented]
async fn fetch(n: u64) -> Result<u64, std::num::ParseIntError> {
    tokio::time::sleep(Duration::from_micros(n % 4_000)).await;
    basket(n);
    if n.is_multiple_of(9) {
        return "none".parse();
    }
    Ok(n)
}

#[instrumented]
async fn may_panic_later(n: u64) -> u64 {
    tokio::task::yield_now().await;
    may_panic(n)
}

/// Ends in each of the four ways.
#[instrumented]
async fn anything(n: u64) -> Result<u64, std::num::ParseIntError> {
    match n % 4 {
        0 => Ok(n),
        1 => order(7),
        2 => Ok(may_panic(5)),
        _ => std::future::pending().await,
    }
}

fn spend(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Every function of the service, and how its calls end.
pub(crate) const ENDS: [(&str, &[Outcome]); 6] = {
    use Outcome::{Cancelled, Error, Ok, Panic};
    [
        ("order", &[Ok, Error]),
        ("basket", &[Ok]),
        ("may_panic", &[Ok, Panic]),
        ("fetch", &[Ok, Error]),
        ("may_panic_later", &[Ok, Panic]),
        ("anything", &[Ok, Error, Panic, Cancelled]),
    ]
};

/// About 2,000 calls a second from outside, until `done`.
pub(crate) fn load(done: &AtomicBool) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..).take_while(|_| !done.load(Relaxed)) {
                let n = scattered(n);
                let _ = order(n);
                basket(n);
                let _ = std::panic::catch_unwind(|| may_panic(n));
                thread::sleep(Duration::from_millis(2));
            }
        });
        for n in (1 << 40..).take_while(|_| !done.load(Relaxed)) {
            let n = scattered(n);
            runtime.spawn(fetch(n));
            runtime.spawn(may_panic_later(n));
            runtime.spawn(
                async move {
                    let _ = tokio::time::timeout(Duration::from_millis(3), anything(n)).await;
                }
                .with_current_context(),
            );
            thread::sleep(Duration::from_millis(2));
        }
    });
    // All tasks end within milliseconds.
    while redspan::catalog().any(|site| site.red().in_flight() > 0) {
        thread::sleep(Duration::from_millis(5));
    }
}
