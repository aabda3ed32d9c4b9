//! Models of redspan's lock-free parts: loom runs every order that the memory model allows, up to a
//! number of preemptions.
//!
//! The files are the runtime's own, built of loom's atomics.

#[path = "../../../runtime/src/sharded/leases.rs"]
#[cfg(test)]
mod leases;
#[path = "../../../runtime/src/sharded/together.rs"]
#[cfg(test)]
mod together;

#[cfg(test)]
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
    // A model must be told where it may turn to another thread.
    pub(crate) use loom::thread::yield_now as pause;
    pub(crate) use loom::thread::yield_now as spin;
}

#[cfg(test)]
mod tests {
    use super::leases::{LEASES, Leases};
    use super::together::Together;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use loom::thread;

    type Numbers = Together<2>;

    /// One call of five nanoseconds.
    const CALL: [(usize, u64); 2] = [(0, 1), (1, 5)];

    fn check(model: impl Fn() + Sync + Send + 'static) {
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
}
