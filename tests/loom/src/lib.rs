//! Models of redspan's lock-free parts: loom runs every order that the memory model allows, up to a
//! number of preemptions.
//!
//! The files are the runtime's own, built of loom's atomics.

#[path = "../../../runtime/src/ahead.rs"]
#[cfg(test)]
#[allow(dead_code, reason = "the models need less of it")]
mod ahead;
#[path = "../../../runtime/src/log/bell.rs"]
#[cfg(test)]
#[allow(dead_code, reason = "a reminder is a time, and a model has none")]
mod bell;
#[cfg(test)]
mod buffer;
#[path = "../../../runtime/src/sharded/busy.rs"]
#[cfg(test)]
mod busy;
#[path = "../../../runtime/src/sharded/leases.rs"]
#[cfg(test)]
mod leases;
#[cfg(test)]
mod lent;
#[path = "../../../runtime/src/in_flight/seat.rs"]
#[cfg(test)]
mod seat;
#[path = "../../../runtime/src/sharded/spread.rs"]
#[cfg(test)]
mod spread;
#[path = "../../../runtime/src/sharded/together.rs"]
#[cfg(test)]
mod together;

/// The standard library's, with what it promises of order told to the model.
#[cfg(test)]
mod once {
    use loom::sync::Mutex;
    use loom::sync::atomic::AtomicBool;
    use loom::sync::atomic::Ordering::{Acquire, Release};

    pub(crate) struct OnceLock<T> {
        held: std::sync::OnceLock<T>,
        is_held: AtomicBool,
        making: Mutex<()>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            let held = std::sync::OnceLock::new();
            OnceLock { held, is_held: AtomicBool::new(false), making: Mutex::new(()) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_held.load(Acquire) { self.held.get() } else { None }
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let _alone = self.making.lock().unwrap();
            let held = self.held.get_or_init(make);
            self.is_held.store(true, Release);
            held
        }
    }
}

#[cfg(test)]
mod reminder {
    #[derive(Debug)]
    pub(crate) struct Reminder;

    impl Reminder {
        pub(crate) fn left(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }
}

/// The standard library's, of loom's: a wait of less than an hour may be over at any time, and a longer one
/// never is, so that whom nobody wakes is found.
#[cfg(test)]
mod sync {
    use std::ops::{Deref, DerefMut};
    use std::sync::{LockResult, PoisonError};
    use std::time::Duration;

    pub(crate) const LONG: Duration = Duration::from_secs(3_600);

    /// A model has one process.
    pub(crate) struct Home;

    impl Home {
        pub(crate) fn new() -> Self {
            Home
        }

        pub(crate) fn is_moved_here(&self) {}

        pub(crate) fn is_here(&self) -> bool {
            true
        }

        pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
            mutex.lock().ok()
        }
    }

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T> {
        of: &'a Mutex<T>,
        held: loom::sync::MutexGuard<'a, T>,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(of: T) -> Self {
            Mutex(loom::sync::Mutex::new(of))
        }

        pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(MutexGuard { of: self, held })
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.held
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.held
        }
    }

    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
        ) -> LockResult<MutexGuard<'a, T>> {
            let MutexGuard { of, held } = guard;
            let held = self.0.wait(held).unwrap_or_else(PoisonError::into_inner);
            Ok(MutexGuard { of, held })
        }

        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            most: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            if most > LONG {
                return self.wait(guard).map(|guard| (guard, ())).map_err(|_| unreachable!());
            }
            let of = guard.of;
            drop(guard);
            loom::thread::yield_now();
            Ok((of.lock().unwrap_or_else(PoisonError::into_inner), ()))
        }

        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            most: Duration,
            mut goes_on: impl FnMut(&mut T) -> bool,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            while goes_on(&mut guard) {
                guard = self.wait_timeout(guard, most).unwrap_or_else(PoisonError::into_inner).0;
                if most <= LONG {
                    break;
                }
            }
            Ok((guard, ()))
        }
    }
}

/// Fewer than threads in a model, and all threads begin at the same one: they meet as often as they can.
#[cfg(test)]
const SHARDS: usize = 1;

#[cfg(test)]
fn shard_of_this_thread() -> usize {
    0
}

#[cfg(test)]
mod atomic {
    pub(crate) use crate::once::OnceLock;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};
    // A model must be told where it may turn to another thread.
    pub(crate) use loom::thread::yield_now as pause;
    pub(crate) use loom::thread::yield_now as spin;

    /// A model has one process.
    #[derive(Default)]
    pub(crate) struct Patience;

    impl Patience {
        pub(crate) fn is_left(&mut self) -> bool {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bell::{Bell, Load};
    use super::busy::Busy;
    use super::leases::{LEASES, Leases};
    use super::seat::Seat;
    use super::spread::Spread;
    use super::sync::LONG;
    use super::together::Together;
    use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;
    use std::time::{Duration, Instant};

    type Numbers = Together<2>;

    /// One call of five nanoseconds.
    const CALL: [(usize, u64); 2] = [(0, 1), (1, 5)];

    pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    fn assert_together(numbers: &Numbers) -> u64 {
        let [calls, sum] = numbers.read();
        assert_eq!(sum, calls * 5);
        calls
    }

    #[test]
    fn a_reader_sees_each_change_wholly_or_not_at_all() {
        for own in [true, false] {
            check(move || {
                let numbers = Arc::new(Numbers::default());
                let writer = {
                    let numbers = Arc::clone(&numbers);
                    thread::spawn(move || (0..2).filter(|_| numbers.add(own, CALL)).count() as u64)
                };
                let reader = {
                    let numbers = Arc::clone(&numbers);
                    thread::spawn(move || assert_together(&numbers))
                };
                let added = writer.join().unwrap();
                assert!(reader.join().unwrap() <= added);
                assert_eq!(assert_together(&numbers), added);
            });
        }
    }

    #[test]
    fn writers_that_share_lose_nothing_and_one_that_is_refused_changes_nothing() {
        check(|| {
            let numbers = Arc::new(Numbers::default());
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let numbers = Arc::clone(&numbers);
                    thread::spawn(move || u64::from(numbers.add(false, CALL)))
                })
                .collect();
            let added: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            assert_eq!(assert_together(&numbers), added);
        });
    }

    #[test]
    fn what_happened_before_an_end_that_is_read_is_read_as_well() {
        check(|| {
            let (started, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(Numbers::default()));
            let call = {
                let (started, ended) = (Arc::clone(&started), Arc::clone(&ended));
                thread::spawn(move || {
                    started.store(1, Relaxed);
                    ended.add(true, CALL);
                })
            };
            let reader = thread::spawn(move || {
                let ends = assert_together(&ended);
                assert!(started.load(Relaxed) >= ends, "more calls have ended than were started");
            });
            call.join().unwrap();
            reader.join().unwrap();
        });
    }

    #[test]
    fn who_gets_a_lane_goes_on_from_what_the_one_before_has_written() {
        check(|| {
            let leases = Arc::new(Leases::of(AtomicU64::new(u64::MAX << 1)));
            assert_eq!(LEASES, 64);
            let cell = Arc::new(AtomicU64::new(0));
            let holders: Vec<_> = (0..2)
                .map(|_| {
                    let (leases, cell) = (Arc::clone(&leases), Arc::clone(&cell));
                    thread::spawn(move || {
                        let Some(lease) = leases.take() else { return 0 };
                        // No other thread writes it: no dearer operation.
                        cell.store(cell.load(Relaxed) + 1, Relaxed);
                        leases.give_back(lease);
                        1
                    })
                })
                .collect();
            let counted: u64 = holders.into_iter().map(|holder| holder.join().unwrap()).sum();
            assert_eq!(cell.load(Relaxed), counted);
        });
    }

    /// What a histogram's shard is: numbers that are not atomic together.
    #[derive(Default)]
    struct Shard {
        busy: Busy,
        calls: AtomicU64,
        sum: AtomicU64,
    }

    impl Shard {
        fn add(&self) -> bool {
            let Some(_inside) = self.busy.try_enter() else { return false };
            self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
            self.sum.store(self.sum.load(Relaxed) + 5, Relaxed);
            true
        }

        fn read(&self) -> u64 {
            let _inside = self.busy.enter();
            let calls = self.calls.load(Relaxed);
            assert_eq!(self.sum.load(Relaxed), calls * 5);
            calls
        }
    }

    #[test]
    fn one_at_a_time_is_inside_and_sees_what_the_one_before_has_written() {
        check(|| {
            let shard = Arc::new(Shard::default());
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let shard = Arc::clone(&shard);
                    thread::spawn(move || u64::from(shard.add()))
                })
                .collect();
            let reader = {
                let shard = Arc::clone(&shard);
                thread::spawn(move || assert!(shard.read() <= 2))
            };
            reader.join().unwrap();
            let added: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            assert_eq!(shard.read(), added);
        });
    }

    #[test]
    fn writers_that_meet_go_to_another_shard_and_lose_nothing() {
        check(|| {
            let spread = Arc::new(Spread::new(Shard::default()));
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let spread = Arc::clone(&spread);
                    thread::spawn(move || spread.add(Shard::default, Shard::add))
                })
                .collect();
            let read = |spread: &Spread<Shard>| spread.each().map(Shard::read).sum::<u64>();
            assert!(read(&spread) <= 2);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            assert_eq!(read(&spread), 2);
        });
    }

    #[test]
    fn a_seat_tells_of_one_call_or_of_none() {
        /// Two functions, and when their calls began.
        static FUNCTIONS: [u64; 2] = [10, 20];
        check(|| {
            let free = AtomicPtr::new(std::ptr::null_mut());
            let seat = Arc::new(Seat::of(free, AtomicU64::new(0)));
            let calls: Vec<_> = FUNCTIONS
                .iter()
                .map(|function| {
                    let seat = Arc::clone(&seat);
                    thread::spawn(move || {
                        let seated = seat.sit(function, || *function);
                        if seated {
                            seat.leave();
                        }
                        seated
                    })
                })
                .collect();
            let reader = {
                let seat = Arc::clone(&seat);
                thread::spawn(move || {
                    if let Some((function, since)) = seat.read() {
                        assert_eq!(*function, since, "the time is another call's");
                    }
                })
            };
            reader.join().unwrap();
            let seated = calls.into_iter().map(|call| call.join().unwrap());
            assert!(seated.fold(false, |any, seated| any | seated));
            assert!(seat.read().is_none());
        });
    }

    /// Things that wait for a thread.
    struct Things(u64);

    impl Load for Things {
        fn amount(&self) -> usize {
            self.0 as usize
        }
    }

    /// Callers and the thread that does what they bring.
    struct Doing {
        bell: Bell<Things, ()>,
        thread: Mutex<Option<thread::JoinHandle<()>>>,
        all: Mutex<u64>,
        more: Condvar,
    }

    impl Doing {
        fn new() -> Arc<Doing> {
            Arc::new(Doing {
                bell: Bell::new(Things(0), ()),
                thread: Mutex::new(None),
                all: Mutex::new(0),
                more: Condvar::new(),
            })
        }

        /// Brings one; the first starts a thread, which gathers two, for at most so long.
        fn bring(of: &Arc<Self>, most: Duration) {
            let add = |things: &mut Things| {
                things.0 += 1;
                true
            };
            let start = |()| {
                let doing = Arc::clone(of);
                *of.thread.lock().unwrap() = Some(thread::spawn(move || doing.run(most)));
            };
            assert!(of.bell.bring(add, start));
        }

        fn run(&self, most: Duration) {
            let mut finished = 0;
            loop {
                let mut state = self.bell.gather(self.bell.finish(finished), 2, most);
                while state.waiting.0 == 0 && !state.is_closed() {
                    state = self.bell.sleep(state);
                }
                state.awake();
                finished = std::mem::take(&mut state.waiting.0);
                drop(state);
                if finished == 0 {
                    return;
                }
                *self.all.lock().unwrap() += finished;
                self.more.notify_all();
            }
        }

        fn end(&self, all: u64) {
            self.bell.close();
            let thread = self.thread.lock().unwrap().take();
            thread.unwrap().join().unwrap();
            assert_eq!(*self.all.lock().unwrap(), all);
        }
    }

    #[test]
    fn what_two_callers_bring_is_done_by_a_thread_that_may_sleep() {
        check(|| {
            let doing = Doing::new();
            let other = {
                let doing = Arc::clone(&doing);
                thread::spawn(move || Doing::bring(&doing, Duration::from_millis(1)))
            };
            Doing::bring(&doing, Duration::from_millis(1));
            let mut all = doing.all.lock().unwrap();
            while *all < 2 {
                all = doing.more.wait(all).unwrap();
            }
            drop(all);
            other.join().unwrap();
            doing.end(2);
        });
    }

    #[test]
    fn a_flush_wakes_who_gathers_for_ever_and_waits_for_what_was_brought() {
        check(|| {
            let doing = Doing::new();
            let flush = |doing: &Doing| doing.bell.flush(Instant::now() + 24 * LONG);
            let other = {
                let doing = Arc::clone(&doing);
                thread::spawn(move || flush(&doing))
            };
            Doing::bring(&doing, 24 * LONG);
            assert!(flush(&doing));
            assert_eq!(*doing.all.lock().unwrap(), 1);
            assert!(other.join().unwrap());
            doing.end(1);
        });
    }
}
