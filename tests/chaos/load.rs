//! Calls at a steady rate, and how much work each was for its caller.

use crate::calls::outer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What this thread has worked so far: waiting for a core is not the caller's doing.
fn cpu() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
    #[cfg(not(target_os = "linux"))]
    {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }
}

/// Threads that call, at most 2,000 times a second each, two spans a call.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    took: Arc<Mutex<Vec<Duration>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many threads, which call so many times at once and then rest.
    pub(crate) fn start(threads: usize, at_once: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicU64::new(0));
        let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let threads = (0..threads)
            .map(|_| {
                let (stop, calls, took) = (stop.clone(), calls.clone(), took.clone());
                thread::spawn(move || {
                    let mut durations = Vec::with_capacity(at_once as usize);
                    while !stop.load(Relaxed) {
                        for number in 0..u64::from(at_once) {
                            let start = cpu();
                            outer(number);
                            durations.push(cpu().saturating_sub(start));
                        }
                        calls.fetch_add(at_once.into(), Relaxed);
                        took.lock().unwrap().append(&mut durations);
                        thread::sleep(Duration::from_micros(500) * at_once);
                    }
                })
            })
            .collect();
        Load { stop, calls, took, threads }
    }

    /// The durations since the last time.
    pub(crate) fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut self.took.lock().unwrap())
    }

    /// Ends the threads; how many calls there were.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        self.calls.load(Relaxed)
    }
}
