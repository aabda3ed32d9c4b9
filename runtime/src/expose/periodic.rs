//! Metrics to a receiver, from time to time: on a thread of its own, so that a receiver which hangs
//! holds up nobody else.

use crate::clock;
use crate::metrics::snapshot::Snapshot;
use crate::quiet;
use opentelemetry_sdk::Resource;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Where snapshots are sent.
pub(crate) trait MetricSink: Send + 'static {
    /// What it is and where it sends to, for people; without credentials.
    fn describe(&self) -> String;

    /// Who the process says that it is; told once, before the first export.
    fn set_resource(&mut self, _: &Resource) {}

    /// Sends one, within `timeout`. What comes of it is its own affair: the next one tells all that
    /// this one did.
    fn export(&mut self, snapshot: &Snapshot, timeout: Duration);

    /// Nothing follows.
    fn shutdown(&mut self) {}
}

#[derive(Default)]
struct Rounds {
    wanted: u64,
    done: u64,
    /// The last one is to come, and none before it.
    ending: bool,
    stop: bool,
    /// Without a last round.
    given_up: bool,
    gone: bool,
}

#[derive(Default)]
struct Shared {
    rounds: Mutex<Rounds>,
    changed: Condvar,
}

impl Shared {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running reader. Dropping it stops it.
pub(crate) struct PeriodicReader {
    shared: Arc<Shared>,
}

impl PeriodicReader {
    /// Sends what `gather` gives every `interval`, and once more at the end.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        mut sink: Box<dyn MetricSink>,
        interval: Duration,
        timeout: Duration,
        gather: impl Fn() -> Snapshot + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let reader = PeriodicReader { shared: Arc::clone(&shared) };
        thread::Builder::new().name("redspan-metrics".into()).spawn(move || {
            let _quiet = quiet::settle();
            let mut next = clock::deadline(interval);
            loop {
                let mut rounds = shared.rounds();
                while !rounds.stop {
                    let left = next.saturating_duration_since(Instant::now());
                    if rounds.ending {
                        let woken = shared.changed.wait(rounds);
                        rounds = woken.unwrap_or_else(PoisonError::into_inner);
                    } else if rounds.wanted == rounds.done && !left.is_zero() {
                        let woken = shared.changed.wait_timeout(rounds, left);
                        rounds = woken.unwrap_or_else(PoisonError::into_inner).0;
                    } else {
                        break;
                    }
                }
                let (wanted, stop, given_up) = (rounds.wanted, rounds.stop, rounds.given_up);
                drop(rounds);
                if !given_up {
                    // Whatever others do in it, the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        sink.export(&gather(), timeout);
                    }));
                }
                next = Instant::now().max(next.checked_add(interval).unwrap_or(next));
                let mut rounds = shared.rounds();
                rounds.done = rounds.done.max(wanted);
                rounds.gone = stop;
                drop(rounds);
                shared.changed.notify_all();
                if stop {
                    let _ = catch_unwind(AssertUnwindSafe(|| sink.shutdown()));
                    return;
                }
            }
        })?;
        Ok(reader)
    }

    /// Asks for a round, which sends what there is now. None comes after the last one, whatever becomes of that.
    pub(crate) fn ask(&self) -> Option<u64> {
        let mut rounds = self.shared.rounds();
        if rounds.stop {
            return None;
        }
        rounds.wanted += 1;
        self.shared.changed.notify_all();
        Some(rounds.wanted)
    }

    /// Waits until that round is done. False if `timeout` passed first.
    pub(crate) fn done(&self, round: u64, timeout: Duration) -> bool {
        self.wait(timeout, |rounds| rounds.done >= round || rounds.gone)
    }

    /// Says that the last round comes soon. None begins before it: to a receiver that hangs, that would be one more to
    /// wait for.
    pub(crate) fn end_soon(&self) {
        self.shared.rounds().ending = true;
        self.shared.changed.notify_all();
    }

    /// Asks for the last round.
    pub(crate) fn stop(&self) {
        self.shared.rounds().stop = true;
        self.shared.changed.notify_all();
    }

    /// Waits until that is done. False if `timeout` passed first.
    pub(crate) fn stopped(&self, timeout: Duration) -> bool {
        self.wait(timeout, |rounds| rounds.gone)
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&Rounds) -> bool) -> bool {
        let mut rounds = self.shared.rounds();
        let deadline = clock::deadline(timeout);
        while !done(&rounds) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(rounds, left);
            rounds = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for PeriodicReader {
    /// One that was never installed, or has been stopped: its thread ends.
    fn drop(&mut self) {
        let mut rounds = self.shared.rounds();
        rounds.given_up = !rounds.stop;
        rounds.stop = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::snapshot::Identity;
    use crate::metrics::store::Store;
    use std::sync::mpsc;

    struct Told(mpsc::Sender<&'static str>);

    impl MetricSink for Told {
        fn describe(&self) -> String {
            "a channel".into()
        }

        fn export(&mut self, _: &Snapshot, _: Duration) {
            let _ = self.0.send("export");
            panic!("a sink that panics is asked again");
        }

        fn shutdown(&mut self) {
            let _ = self.0.send("shutdown");
        }
    }

    #[test]
    fn a_flush_sends_at_once_and_the_end_sends_once_more() {
        std::panic::set_hook(Box::new(|_| ()));
        let (tell, told) = mpsc::channel();
        let store = Store::scoped();
        let gather = move || Snapshot::gather(&store, &Identity::default());
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(60));
        let reader = PeriodicReader::start(Box::new(Told(tell)), hour, second, gather).unwrap();
        assert!(reader.done(reader.ask().unwrap(), second));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["export"]);
        reader.stop();
        assert_eq!(
            reader.ask(),
            None,
            "there is nothing to wait for, also while the last one hangs"
        );
        assert!(reader.stopped(second));
        assert_eq!(told.iter().collect::<Vec<_>>(), ["export", "shutdown"]);
    }

    /// One that is held up.
    struct Held(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl MetricSink for Held {
        fn describe(&self) -> String {
            "a gate".into()
        }

        fn export(&mut self, _: &Snapshot, _: Duration) {
            let _ = self.0.send(());
            let _ = self.1.recv();
        }
    }

    #[test]
    fn what_is_due_while_the_end_is_near_waits_for_the_last_round() {
        let ((tell, told), (open, gate)) = (mpsc::channel(), mpsc::channel());
        let gather = || Snapshot::gather(&Store::scoped(), &Identity::default());
        let (always, minute) = (Duration::ZERO, Duration::from_secs(60));
        let sink = Box::new(Held(tell, gate));
        let reader = PeriodicReader::start(sink, always, minute, gather).unwrap();
        told.recv().unwrap();
        let asked = reader.ask().unwrap();
        reader.end_soon();
        open.send(()).unwrap();
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "none before the last");
        reader.stop();
        told.recv().unwrap();
        open.send(()).unwrap();
        assert!(reader.stopped(minute) && reader.done(asked, minute));
        assert!(told.recv().is_err(), "it was the last");
    }

    #[test]
    fn one_that_was_never_installed_sends_nothing() {
        let (tell, told) = mpsc::channel();
        let hour = Duration::from_secs(3_600);
        let gather = || Snapshot::gather(&Store::scoped(), &Identity::default());
        drop(PeriodicReader::start(Box::new(Told(tell)), hour, hour, gather).unwrap());
        assert_eq!(told.iter().collect::<Vec<_>>(), ["shutdown"]);
    }
}
