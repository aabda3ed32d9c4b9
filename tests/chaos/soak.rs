//! Faults that switch at random, for long.

use super::load::Load;
use super::trouble::TROUBLES;
use crate::{MEMORY, RECOVERY, install};
use redspan_tests::process::resident;
use redspan_tests::{Front, Receiver, Transport};
use std::thread;
use std::time::{Duration, Instant};

const SECONDS: &str = "REDSPAN_CHAOS_SECONDS";

/// What the process of its own has to know.
pub(crate) fn variables() -> Vec<(&'static str, String)> {
    std::env::var(SECONDS).map(|seconds| (SECONDS, seconds)).into_iter().collect()
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Threads and descriptors of this process; zero where the system does not tell.
fn held() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Small, and random enough.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

pub(crate) fn run() {
    let seconds = std::env::var(SECONDS).ok().and_then(|it| it.parse().ok()).unwrap_or(5);
    let (start, whole) = (Instant::now(), Duration::from_secs(seconds));
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()));
    let transport = if random.below(2) == 0 { Transport::Http } else { Transport::Grpc };
    let transport = match std::env::var("REDSPAN_CHAOS_TRANSPORT").as_deref() {
        Ok("http") => Transport::Http,
        Ok("grpc") => Transport::Grpc,
        _ => transport,
    };
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    let telemetry = install(&front, transport, Duration::from_secs(2));
    let load = Load::start(2);
    thread::sleep(Duration::from_secs(1));
    let (at_first, memory_at_first) = (held(), resident().unwrap_or_default());
    // The most of the first half and of the second: what is allocated at the first meeting with each
    // fault is no growth, and an allocator gives back when it likes.
    let (mut first_half, mut second_half) = (memory_at_first, 0);
    let (mut troubles, mut slowest, mut told) = (0, Duration::ZERO, Instant::now());
    while start.elapsed() < whole {
        let trouble = TROUBLES[random.below(TROUBLES.len() as u64) as usize];
        trouble.begin(&mut receiver, &front);
        let rest = whole.saturating_sub(start.elapsed());
        thread::sleep(Duration::from_millis(200 + random.below(4_000)).min(rest));
        trouble.end(&mut receiver, &front);
        receiver.take();
        let over = Instant::now();
        while receiver.count() == 0 {
            assert!(over.elapsed() < RECOVERY, "{trouble:?}: {}", telemetry.health());
            thread::sleep(Duration::from_millis(5));
        }
        slowest = slowest.max(over.elapsed());
        troubles += 1;
        thread::sleep(Duration::from_millis(random.below(1_000)));
        receiver.take();
        load.take();
        let now = resident().unwrap_or_default();
        match start.elapsed() < whole / 2 {
            true => first_half = first_half.max(now),
            false => second_half = second_half.max(now),
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            eprintln!(
                "{:>5} s, {troubles} troubles, {:?} threads and descriptors, {} KiB: {}",
                start.elapsed().as_secs(),
                held(),
                resident().unwrap_or_default() / 1024,
                telemetry.health()
            );
        }
    }
    let calls = load.stop();
    assert!(telemetry.shutdown(Duration::from_secs(5)), "{}", telemetry.health());
    let stats = telemetry.spans();
    println!(
        "{transport:?} {} s: {calls} calls, {troubles} troubles, slowest recovery {slowest:?}; memory {} KiB at \
         first, at most {} KiB in the first half and {} KiB in the second; threads and descriptors \
         {at_first:?} and {:?}; {stats:?}",
        start.elapsed().as_secs(),
        memory_at_first / 1024,
        first_half / 1024,
        second_half / 1024,
        held()
    );
    assert_eq!(stats.sampled, stats.running + stats.pending + stats.exported + stats.dropped());
    assert_eq!(stats.sampled, 2 * calls);
    assert!(held().0 <= at_first.0 + 1, "threads: {at_first:?} and now {:?}", held());
    // Connections of the front come and go.
    assert!(held().1 <= at_first.1 + 16, "descriptors: {at_first:?} and now {:?}", held());
    // The receiver and the front are in this process too, and an allocator keeps what they held at once.
    let grown = second_half.saturating_sub(first_half);
    assert!(grown < MEMORY, "memory grew by {} KiB", grown / 1024);
}
