//! What callers share with the thread of a sink, and the bell by which they wake it.
//!
//! Waking a thread costs a caller more than what it brings: so it rings only where the thread has gone to
//! sleep, or where so much waits that no more should be gathered, and only once.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::reminder::Reminder;
use super::sync::{Condvar, Home, Mutex, MutexGuard};

/// What waits for the thread.
pub(super) trait Load {
    /// How much that is, by the measure that the thread gathers by.
    fn amount(&self) -> usize;
}

/// A `W` that waits for a thread, which is started with a `T`.
pub(super) struct Bell<W, T> {
    state: Mutex<State<W, T>>,
    /// Where the thread is.
    home: Home,
    /// There is work, or there will never be any more.
    work: Condvar,
    /// Some of it is done.
    done: Condvar,
}

pub(super) struct State<W, T> {
    pub(super) waiting: W,
    /// Taken in, ever, and of those the ones with which the thread is done.
    accepted: u64,
    finished: u64,
    /// Up to which somebody wants them done without delay, and how many wait for that.
    wanted: u64,
    flushing: u32,
    /// With so much waiting, the thread is to be woken: 1 while it sleeps, none while it works.
    enough: usize,
    /// Until the thread starts.
    starts_with: Option<T>,
    reminder: Option<Reminder>,
    closed: bool,
}

type Held<'a, W, T> = MutexGuard<'a, State<W, T>>;

impl<W: Load, T> State<W, T> {
    /// Whether nothing more will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many were taken in with which the thread is not done.
    #[allow(dead_code, reason = "asked of what a receiver is sent, with the feature `otlp`")]
    pub(super) fn unfinished(&self) -> u64 {
        self.accepted - self.finished
    }

    /// The reminder whose time has come.
    pub(super) fn due(&mut self) -> Option<Reminder> {
        self.reminder.take_if(|it| it.left().is_zero())
    }

    /// The thread is up: nobody needs to ring.
    pub(super) fn awake(&mut self) {
        self.enough = usize::MAX;
    }
}

impl<W: Load, T> Bell<W, T> {
    pub(super) fn new(waiting: W, starts_with: T) -> Self {
        let state = State {
            waiting,
            accepted: 0,
            finished: 0,
            wanted: 0,
            flushing: 0,
            enough: usize::MAX,
            starts_with: Some(starts_with),
            reminder: None,
            closed: false,
        };
        Bell {
            state: Mutex::new(state),
            home: Home::new(),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> Held<'_, W, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For callers: `None` in a fork's child, where nobody will ever let go of it.
    #[inline]
    fn hold(&self) -> Option<Held<'_, W, T>> {
        self.home.lock(&self.state)
    }

    /// Adds one by `add`, which says whether there was room. The first one starts the thread. False if it
    /// was not taken in.
    #[inline]
    pub(super) fn bring(&self, add: impl FnOnce(&mut W) -> bool, start: impl FnOnce(T)) -> bool {
        let Some(mut state) = self.hold() else { return false };
        // Closed here means that no thread could be started.
        if state.closed || !add(&mut state.waiting) {
            return false;
        }
        state.accepted += 1;
        let rings = state.waiting.amount() >= state.enough;
        self.ring(state, rings, start);
        true
    }

    /// The thread looks after it, in time; the last one counts.
    pub(super) fn remind(&self, reminder: Reminder, start: impl FnOnce(T)) {
        let Some(mut state) = self.hold() else { return };
        if !state.closed {
            state.reminder = Some(reminder);
            self.ring(state, true, start);
        }
    }

    #[inline]
    fn ring(&self, mut state: Held<'_, W, T>, rings: bool, start: impl FnOnce(T)) {
        if rings {
            // Once is enough.
            state.awake();
        }
        let starts_with = state.starts_with.take();
        if starts_with.is_some() {
            self.home.is_moved_here();
        }
        drop(state);
        match starts_with {
            Some(starts_with) => start(starts_with),
            None if rings => self.work.notify_one(),
            None => {}
        }
    }

    /// There is no thread, and never will be: `lose` takes what waits for it.
    pub(super) fn give_up(&self, lose: impl FnOnce(&mut W)) {
        let mut state = self.lock();
        state.closed = true;
        lose(&mut state.waiting);
        state.finished = state.accepted;
        self.done.notify_all();
    }

    /// Nothing more will come: the thread ends when it has done what waits.
    pub(super) fn close(&self) {
        let Some(mut state) = self.hold() else { return };
        state.closed = true;
        drop(state);
        self.work.notify_one();
    }

    /// Waits until all that was brought before is done; false if it was not in time, or the thread is not one of this
    /// process.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let Some(mut state) = self.hold() else { return false };
        let target = state.accepted;
        // Nobody is woken for nothing.
        if state.finished >= target {
            return true;
        }
        if !self.home.is_here() {
            return false;
        }
        state.wanted = state.wanted.max(target);
        state.flushing += 1;
        self.work.notify_one();
        while state.finished < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing -= 1;
        state.finished >= target
    }

    /// For the thread, as all that follows: it is done with so many.
    pub(super) fn finish(&self, count: u64) -> Held<'_, W, T> {
        let mut state = self.lock();
        state.finished += count;
        if state.flushing > 0 {
            self.done.notify_all();
        }
        state
    }

    /// Waits until so much waits, somebody wants it at once, or nothing more will come; no longer than
    /// `most`. Meanwhile nobody rings for less.
    pub(super) fn gather<'a>(
        &self,
        mut state: Held<'a, W, T>,
        enough: usize,
        most: Duration,
    ) -> Held<'a, W, T> {
        state.enough = enough;
        let goes_on = |state: &mut State<W, T>| {
            state.waiting.amount() < enough && !state.closed && state.finished >= state.wanted
        };
        let waited = self.work.wait_timeout_while(state, most, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Sleeps until somebody rings or a reminder is due; it may also wake for nothing.
    pub(super) fn sleep<'a>(&self, mut state: Held<'a, W, T>) -> Held<'a, W, T> {
        state.enough = 1;
        match state.reminder.as_ref().map(Reminder::left) {
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(Duration::ZERO) => state,
            Some(left) => {
                let woken = self.work.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// What is to be looked after later, if there is something.
    pub(super) fn remind_again(&self, reminder: Option<Reminder>) {
        if reminder.is_some() {
            self.lock().reminder = reminder;
        }
    }
}

impl<W, T> fmt::Debug for Bell<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}
