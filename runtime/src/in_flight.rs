//! Calls in flight, with age and place, for whoever asks.
//!
//! Until somebody asks, a call pays for this with one look at a flag. From then on each call takes a
//! seat, in one of a fixed number that never grows: when all are taken by calls that hang, it is those
//! that one wants to see. How many are in flight in all is known exactly from the sites' numbers.

mod seat;

/// What a seat is built of: the model checker of `tests/loom` has its own.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
}

use crate::callsite::CallSite;
use crate::catalog::catalog;
use crate::clock::{self, Tick};
use crate::sharded::{SHARDS, shard_of_this_thread};
use crate::watch;
use seat::Seat;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU16;
use std::ptr;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::time::Duration;

/// Seats of the threads that share a row.
const SEATS: usize = 256;

/// Seats that a call tries before it goes without one.
const TRIES: usize = 8;

static ROWS: [Row; SHARDS] = [const { Row::new() }; SHARDS];

/// What ages are counted from.
static ORIGIN: LazyLock<Tick> = LazyLock::new(clock::now);

/// Aligned, so that a row shares no cache line with another.
#[repr(align(128))]
struct Row {
    seats: [Seat<CallSite>; SEATS],
    next: AtomicU64,
}

impl Row {
    const fn new() -> Self {
        let seats = [const { Seat::of(AtomicPtr::new(ptr::null_mut()), AtomicU64::new(0)) }; SEATS];
        Row { seats, next: AtomicU64::new(0) }
    }
}

/// Where a call in flight is written down: which of all seats, from one. Small, since every call has
/// room for it.
#[derive(Clone, Copy)]
pub(crate) struct Taken(NonZeroU16);

const _: () = assert!(SHARDS * SEATS < u16::MAX as usize);

impl Taken {
    fn new(row: usize, seat: usize) -> Option<Self> {
        NonZeroU16::new((row * SEATS + seat + 1) as u16).map(Taken)
    }

    /// The call has ended.
    pub(crate) fn leave(self) {
        let at = usize::from(self.0.get()) - 1;
        ROWS[at / SEATS].seats[at % SEATS].leave();
    }
}

/// From now on calls take seats.
pub(crate) fn watch() {
    LazyLock::force(&ORIGIN);
    watch::ask(watch::IN_FLIGHT);
}

/// A seat for a call that began at `start`, if one is free nearby.
#[cold]
pub(crate) fn sit(site: &'static CallSite, start: Tick) -> Option<Taken> {
    let of_thread = shard_of_this_thread();
    let row = &ROWS[of_thread];
    let first = row.next.load(Relaxed) as usize;
    for at in first..first + TRIES {
        let since = || start.nanos_since(*ORIGIN);
        if row.seats[at % SEATS].sit(site, since) {
            return Taken::new(of_thread, at % SEATS);
        }
    }
    // All of these are taken: the next call looks elsewhere.
    row.next.store((first + TRIES) as u64, Relaxed);
    None
}

/// A call in flight, or several of one function whose ages are not known.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct InFlight {
    /// The function.
    pub site: &'static CallSite,
    /// How long the call has been running; `None`: it began before anybody asked, or when too many
    /// others were running.
    pub age: Option<Duration>,
    /// How many calls these are: one, if the age is known.
    pub calls: u64,
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InFlight { site, age, calls } = self;
        match age {
            Some(age) => write!(f, "{:.3} s  ", age.as_secs_f64())?,
            None => write!(f, "{calls} ×  ")?,
        }
        write!(f, "{} at {}:{}", site.qualified_name(), site.file(), site.line())
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All calls in flight, those that have run longest first, then those whose age is not known.
pub(crate) fn list() -> Vec<InFlight> {
    watch();
    let now = clock::now().since(*ORIGIN);
    let mut listed: Vec<InFlight> = ROWS
        .iter()
        .flat_map(|row| &row.seats)
        .filter_map(Seat::read)
        .map(|(site, since)| {
            let age = Some(now.saturating_sub(Duration::from_nanos(since)));
            InFlight { site, age, calls: 1 }
        })
        .collect();
    listed.sort_by_key(|call| std::cmp::Reverse(call.age));
    let mut known: HashMap<*const CallSite, u64> = HashMap::new();
    for call in &listed {
        *known.entry(ptr::from_ref(call.site)).or_default() += 1;
    }
    for site in catalog() {
        let seated = known.get(&ptr::from_ref(site)).copied().unwrap_or_default();
        let calls = site.red().in_flight().saturating_sub(seated);
        if calls > 0 {
            listed.push(InFlight { site, age: None, calls });
        }
    }
    listed
}
