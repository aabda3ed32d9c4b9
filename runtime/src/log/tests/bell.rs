//! Who wakes whom, and what is waited for.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::log::bell::{Bell, Load};

const LONG: Duration = Duration::from_secs(60);

/// So many things.
struct Things(usize);

impl Load for Things {
    fn amount(&self) -> usize {
        self.0
    }
}

type Work = Bell<Things, &'static str>;

fn bell() -> Arc<Work> {
    Arc::new(Bell::new(Things(0), "means"))
}

/// Brings one where ten have room.
fn bring(bell: &Work, start: impl FnOnce(&'static str)) -> bool {
    let add = |things: &mut Things| {
        let fits = things.0 < 10;
        things.0 += usize::from(fits);
        fits
    };
    bell.bring(add, start)
}

fn no_start(_: &'static str) {
    panic!("it was started before");
}

fn soon() -> Instant {
    Instant::now() + LONG
}

#[test]
fn the_first_one_starts_the_thread_and_what_finds_no_room_is_refused() {
    let bell = bell();
    let mut given = None;
    assert!(bring(&bell, |means| given = Some(means)));
    assert_eq!(given, Some("means"));
    assert!((1..10).all(|_| bring(&bell, no_start)));
    assert!(!bring(&bell, no_start));
    assert_eq!(bell.lock().waiting.0, 10);
}

#[test]
fn a_flush_waits_for_what_was_brought_before_it() {
    let bell = bell();
    assert!(bell.flush(Instant::now()), "there is nothing to wait for");
    bring(&bell, |_| {});
    assert!(!bell.flush(Instant::now()));
    drop(bell.finish(1));
    assert!(bell.flush(Instant::now()));
}

#[test]
fn where_no_thread_could_be_started_nothing_is_taken_in_and_nobody_waits() {
    let bell = bell();
    let mut lost = 0;
    bring(&bell, |_| bell.give_up(|things| lost = std::mem::take(&mut things.0)));
    assert_eq!(lost, 1);
    assert!(bell.flush(Instant::now()));
    assert!(!bring(&bell, no_start));
}

#[test]
fn a_gathering_thread_wakes_for_enough_and_for_a_flush() {
    let bell = bell();
    let (woken, wakes) = mpsc::channel();
    let gather = |bell: Arc<Work>| {
        move || {
            let mut state = bell.gather(bell.finish(0), 3, LONG * 60);
            while state.waiting.0 > 0 {
                let done = std::mem::take(&mut state.waiting.0);
                woken.send(done).unwrap();
                drop(state);
                state = bell.gather(bell.finish(done as u64), 3, LONG * 60);
            }
        }
    };
    let thread = thread::spawn(gather(Arc::clone(&bell)));
    bring(&bell, |_| {});
    bring(&bell, no_start);
    assert!(wakes.recv_timeout(Duration::from_millis(5)).is_err(), "two are not enough");
    bring(&bell, no_start);
    assert_eq!(wakes.recv_timeout(LONG), Ok(3));
    bring(&bell, no_start);
    assert!(bell.flush(soon()));
    assert_eq!(wakes.recv_timeout(LONG), Ok(1));
    bell.close();
    thread.join().unwrap();
}

#[test]
fn all_that_callers_bring_is_done_whoever_sleeps() {
    let bell = bell();
    let run = |bell: Arc<Work>| {
        move || {
            let (mut finished, mut all) = (0, 0);
            loop {
                let mut state = bell.finish(finished);
                while state.waiting.0 == 0 && !state.is_closed() {
                    state = bell.sleep(state);
                }
                state.awake();
                finished = std::mem::take(&mut state.waiting.0) as u64;
                all += finished;
                if finished == 0 {
                    return all;
                }
            }
        }
    };
    let (started, thread) = mpsc::channel();
    let brought: u64 = thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let started = started.clone();
                let bell = &bell;
                scope.spawn(move || {
                    let start = |_| started.send(thread::spawn(run(Arc::clone(bell)))).unwrap();
                    (0..10_000).filter(|_| bring(bell, start)).count() as u64
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert!(bell.flush(soon()));
    bell.close();
    assert_eq!(thread.recv_timeout(LONG).unwrap().join().unwrap(), brought);
}
