//! One scenario under load: threads that call in bursts, and what that took.

use crate::allocator;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What is run, and how.
pub(crate) struct Load<'a> {
    pub(crate) threads: usize,
    /// How long it is measured; before that it warms up for a fifth of it.
    pub(crate) duration: Duration,
    pub(crate) calls_a_burst: u64,
    /// Makes that many calls.
    pub(crate) burst: fn(u64),
    /// Waits until what was recorded has left. Between bursts, so that no queue overflows.
    pub(crate) drain: &'a (dyn Fn() + Sync),
}

/// What the measured calls took, all threads together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) calls: u64,
    /// With those of the warm-up.
    pub(crate) all_calls: u64,
    /// CPU time of the calling threads, in their bursts.
    pub(crate) caller_ns: u64,
    /// CPU time of the whole process, from the first burst to the end of the last drain.
    pub(crate) process_ns: u64,
    /// Time that passed in bursts, summed over the threads.
    pub(crate) wall_ns: u64,
    pub(crate) caller_allocations: u64,
    pub(crate) process_allocations: u64,
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

impl Load<'_> {
    pub(crate) fn run(&self) -> Took {
        let barrier = Barrier::new(self.threads);
        let phase = AtomicU8::new(WARMING);
        let mut all = Took::default();
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads)
                .map(|_| scope.spawn(|| self.caller(&barrier, &phase, false)))
                .collect();
            all.add(self.caller(&barrier, &phase, true));
            for other in others {
                all.add(other.join().expect("a caller panicked"));
            }
        });
        all
    }

    /// One calling thread; the leader also drains, and decides when to stop.
    fn caller(&self, barrier: &Barrier, phase: &AtomicU8, leads: bool) -> Took {
        let mut took = Took::default();
        let mut ends = Instant::now() + self.duration / 5;
        let mut process = (0, 0);
        loop {
            barrier.wait();
            let now = phase.load(Relaxed);
            if now == OVER {
                return took;
            }
            let allocations = allocator::by_this_thread();
            let (wall, cpu) = (Instant::now(), thread_cpu_ns());
            (self.burst)(self.calls_a_burst);
            let (cpu, wall) = (thread_cpu_ns() - cpu, wall.elapsed());
            took.all_calls += self.calls_a_burst;
            if now == MEASURING {
                took.calls += self.calls_a_burst;
                took.caller_ns += cpu;
                took.wall_ns += wall.as_nanos() as u64;
                took.caller_allocations += allocator::by_this_thread() - allocations;
            }
            barrier.wait();
            if !leads {
                continue;
            }
            (self.drain)();
            if Instant::now() < ends {
                continue;
            }
            let so_far = (process_cpu_ns(), allocator::by_the_process());
            if now == WARMING {
                process = so_far;
                ends = Instant::now() + self.duration;
                phase.store(MEASURING, Relaxed);
            } else {
                took.process_ns = so_far.0 - process.0;
                took.process_allocations = so_far.1 - process.1;
                phase.store(OVER, Relaxed);
            }
        }
    }
}

impl Took {
    /// What a scenario's process prints: pairs for one of the calls that a turn makes `deep` of. Counting
    /// allocations costs time: a run shows one or the other.
    pub(crate) fn line(&self, name: &str, threads: usize, deep: u64, allocations: bool) -> String {
        let calls = self.calls * deep;
        let each = |total: u64| total as f64 / calls as f64;
        let line = format!("scenario={name} threads={threads} calls={calls}");
        if allocations {
            let (caller, process) = (self.caller_allocations, self.process_allocations);
            let (caller, process) = (each(caller), each(process));
            format!("{line} allocations={caller:.4} process_allocations={process:.4}")
        } else {
            let [caller, process, wall] = [self.caller_ns, self.process_ns, self.wall_ns].map(each);
            format!("{line} caller_ns={caller:.2} process_ns={process:.2} wall_ns={wall:.2}")
        }
    }

    fn add(&mut self, more: Took) {
        self.calls += more.calls;
        self.all_calls += more.all_calls;
        self.caller_ns += more.caller_ns;
        self.process_ns += more.process_ns;
        self.wall_ns += more.wall_ns;
        self.caller_allocations += more.caller_allocations;
        self.process_allocations += more.process_allocations;
    }
}

pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "this system has no thread CPU clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn process_cpu_ns() -> u64 {
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the answer.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(failed, 0, "getrusage failed");
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}
