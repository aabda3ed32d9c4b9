//! Numbers of calls for whatever recorder of the `metrics` crate the application has installed.
//!
//! It may be installed before the first call, after it, or long after; once for the process, or on a
//! thread for a while. Which one it is now is known by its address alone, and an address means
//! something only while nobody can be given it anew: so handles are kept for the process' recorder,
//! which stays for ever, and a thread's own is asked for them by each call, as by the `metrics` macros.

use crate::callsite::CallSite;
use crate::catalog;
use crate::clock::{self, Tick};
use crate::metrics::recorder::{self, Recorder};
use crate::metrics::snapshot::sites;
use crate::outcome::Outcome;
use crate::red::elsewhere::Handles;
use crate::red::labelled::{Begun, Place};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The process' recorder is redspan's, for good: it reads the sites itself.
static OURS: AtomicBool = AtomicBool::new(false);

/// A recorder that needs to be told nothing: the `metrics` crate's own, which stands for none, or
/// redspan's.
static SILENT: AtomicUsize = AtomicUsize::new(0);

/// The process' recorder, if it is somebody else's.
static GLOBAL: AtomicUsize = AtomicUsize::new(0);

/// Recorders that were found to be a thread's own; the oldest is forgotten.
static LOCAL: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

thread_local! {
    /// A recorder that calls an annotated function is not told of that in the middle of its work.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// From now on redspan's recorder is the process' own.
pub(crate) fn ours() {
    OURS.store(true, Relaxed);
}

/// Whether nobody else has to be told anything.
#[inline]
pub(super) fn is_ours() -> bool {
    OURS.load(Relaxed)
}

/// Whose the current recorder is.
enum Whose {
    Nobodys,
    Process,
    Threads,
}

#[inline]
pub(super) fn start(site: &'static CallSite, given: u32) {
    if OURS.load(Relaxed) {
        site.table().start(given);
    } else {
        start_told(site, given);
    }
}

// Apart, and so what it needs of the stack.
#[inline(never)]
fn start_told(site: &'static CallSite, given: u32) {
    match whose(site) {
        Whose::Nobodys => site.table().start(given),
        whose => {
            site.table().starts(given).start_elsewhere();
            let place = Place { begun: Begun::with(given), returned: 0 };
            tell(site, place, whose, clock::now(), Handles::start);
        }
    }
}

#[inline]
pub(super) fn end(
    site: &'static CallSite,
    place: Place,
    outcome: Outcome,
    error_type: Option<&'static str>,
    nanos: u64,
    now: Tick,
) {
    if OURS.load(Relaxed) {
        site.table().end(place, site.bounds(), outcome, error_type, nanos);
    } else {
        end_told(site, place, outcome, error_type, nanos, now);
    }
}

/// As [`end`], of a call without labels that was fine; `false`, and nothing has happened, where somebody has
/// to be told, or something waited for.
#[inline(always)]
pub(super) fn end_at_once(site: &'static CallSite, nanos: u64) -> bool {
    OURS.load(Relaxed) && site.table().end_at_once(site.bounds(), nanos)
}

#[inline(never)]
fn end_told(
    site: &'static CallSite,
    place: Place,
    outcome: Outcome,
    error_type: Option<&'static str>,
    nanos: u64,
    now: Tick,
) {
    match whose(site) {
        Whose::Nobodys => {
            site.table().end(place, site.bounds(), outcome, error_type, nanos);
            // Either this sees the recorder that has come meanwhile, or who brought it in sees this
            // call (`catch_up`, after `GLOBAL` was set): nobody is forgotten.
            fence(SeqCst);
            if GLOBAL.load(SeqCst) != 0 {
                catch_up(site, now);
            }
        }
        whose => {
            let duration = Duration::from_nanos(nanos);
            let cells = site.table().cells(place);
            let name = error_type.map(|error_type| cells.fail_elsewhere(error_type));
            cells.end_elsewhere(site.bounds(), outcome, nanos);
            tell(site, place, whose, now, |handles| match name {
                None => handles.end(outcome, duration),
                Some(name) => handles.end_in_error(&sites::errors(site, place, name), duration),
            });
        }
    }
}

/// Where the current recorder is, and how large.
fn current() -> (usize, usize) {
    metrics::with_recorder(|recorder| {
        (std::ptr::from_ref(recorder).cast::<()>().addr(), size_of_val(recorder))
    })
}

fn whose(site: &'static CallSite) -> Whose {
    let (address, size) = current();
    match address {
        _ if TELLING.try_with(Cell::get).unwrap_or(true) => Whose::Nobodys,
        _ if address == SILENT.load(Relaxed) => Whose::Nobodys,
        _ if address == GLOBAL.load(Relaxed) => Whose::Process,
        _ => get_to_know(site, address, size),
    }
}

/// A recorder without size has an address of its own only where it is a static, as that of the `metrics`
/// crate is which stands for none: a box of nothing has none.
const NO_BOX: usize = 4096;

#[cold]
fn get_to_know(site: &'static CallSite, address: usize, size: usize) -> Whose {
    if size == 0 && address >= NO_BOX {
        SILENT.store(address, Relaxed);
        return Whose::Nobodys;
    }
    if LOCAL.iter().any(|local| local.load(Relaxed) == address) {
        return Whose::Threads;
    }
    // A thread that has just begun has no recorder of its own.
    let (answer, answered) = mpsc::sync_channel(1);
    let asked = thread::Builder::new().name("redspan-recorder".into()).spawn(move || {
        let (there, size) = current();
        if there == address && meet(there, size) {
            catch_up(site, clock::now());
            let _ = answer.send(true);
            // Counters of functions that were not called yet stand at zero.
            let with_metrics = catalog::catalog().filter(|site| site.has_metrics());
            with_metrics.for_each(|site| catch_up(site, clock::now()));
        } else {
            let _ = answer.send(there == address);
        }
    });
    // Not for ever: this may be in the middle of the recorder's own work.
    let process = asked.is_ok() && answered.recv_timeout(Duration::from_millis(200)) == Ok(true);
    if address == SILENT.load(Relaxed) {
        Whose::Nobodys
    } else if process {
        Whose::Process
    } else {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        LOCAL[NEXT.fetch_add(1, Relaxed) % LOCAL.len()].store(address, Relaxed);
        Whose::Threads
    }
}

/// Takes note of the process' recorder; false if it is redspan's.
fn meet(address: usize, size: usize) -> bool {
    // It says so when it is asked for a site's metric. Where it is one of several behind a recorder
    // that passes all on, that one is told, and redspan's keeps still.
    let known = telling(|| {
        let redspans = recorder::is_asked(sites::build_info);
        if size == size_of::<Recorder>() && redspans {
            SILENT.store(address, SeqCst);
        } else {
            sites::describe();
            GLOBAL.store(address, SeqCst);
        }
    });
    known.is_some() && GLOBAL.load(SeqCst) == address
}

fn tell(site: &'static CallSite, place: Place, whose: Whose, now: Tick, f: impl FnOnce(&Handles)) {
    let _ = telling(|| match whose {
        Whose::Nobodys => {}
        Whose::Process => {
            let cells = site.table().cells(place);
            let of_type = |name| sites::errors(site, place, name);
            cells.with_handles(site.bounds(), now, || sites::handles(site, place), of_type, f);
        }
        Whose::Threads => f(&sites::handles(site, place)),
    });
}

/// Tells the process' recorder of the calls that it was not told of, if it is the current one.
fn catch_up(site: &'static CallSite, now: Tick) {
    let (address, _) = current();
    if address == GLOBAL.load(SeqCst) {
        fence(SeqCst);
        let _ = telling(|| {
            site.table().each(|place, cells| {
                let of_type = |name| sites::errors(site, place, name);
                cells.catch_up(site.bounds(), now, || sites::handles(site, place), of_type);
            });
        });
    }
}

/// Runs `f`, which calls the recorder; `None` if that is going on already, or if it panicked.
fn telling(f: impl FnOnce()) -> Option<()> {
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = TELLING.try_with(|telling| telling.set(false));
        }
    }
    if TELLING.try_with(|telling| telling.replace(true)).unwrap_or(true) {
        return None;
    }
    let _told = Told;
    // A recorder is somebody else's code, and a call may end while its thread unwinds.
    catch_unwind(AssertUnwindSafe(f)).ok()
}
