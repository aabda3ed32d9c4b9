//! The process that a lock is of: a fork's child has its locks, and not the threads that hold them.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::{PoisonError, TryLockError, TryLockResult};
use std::thread;
use std::time::Duration;

/// How often a fork's child asks for a lock, at first without a pause: who else holds one mostly does so for less than
/// a microsecond.
const TRIES: u32 = 60;
const AT_ONCE: u32 = 10;
const PAUSE: Duration = Duration::from_millis(1);

/// The process whose threads do what others wait for. What a fork's child finds locked may have been locked by a thread that
/// the child does not have, and stays so: none may wait for it.
pub(crate) struct Home {
    process: AtomicU32,
    /// Of a child: a lock was not to be had. It never will be.
    locked_for_ever: AtomicBool,
}

/// Where the threads are that share what is the whole process'. Unknown, it is taken to be here.
static SHARED: Home = Home::of(UNKNOWN);

/// No process has this number.
const UNKNOWN: u32 = 0;

/// Of the whole process, from the first time on that this is said.
pub(crate) fn is_known() {
    let _ = SHARED.process.compare_exchange(UNKNOWN, process::id(), Relaxed, Relaxed);
}

/// What is installed in a fork's child is at home there; unless locks stay locked.
pub(crate) fn is_moved_here(are_free: impl FnOnce() -> bool) {
    is_known();
    if !SHARED.is_here() && are_free() {
        SHARED.is_moved_here();
    }
}

/// As [`Home::lock`], of what the whole process shares.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    SHARED.lock(mutex)
}

/// As [`lock`].
#[inline]
pub(crate) fn read<T>(lock: &RwLock<T>) -> Option<RwLockReadGuard<'_, T>> {
    had(lock.try_read()).or_else(|| {
        SHARED.wait(|| had(lock.try_read()), || lock.read().unwrap_or_else(PoisonError::into_inner))
    })
}

/// As [`lock`].
#[inline]
pub(crate) fn write<T>(lock: &RwLock<T>) -> Option<RwLockWriteGuard<'_, T>> {
    had(lock.try_write()).or_else(|| {
        SHARED
            .wait(|| had(lock.try_write()), || lock.write().unwrap_or_else(PoisonError::into_inner))
    })
}

/// That of who asks again and again: it ends in a fork's child.
#[derive(Default)]
pub(crate) struct Patience(u32);

impl Patience {
    /// To be asked now and then: whether waiting may have an end.
    pub(crate) fn is_left(&mut self) -> bool {
        self.0 = self.0.wrapping_add(1);
        !self.0.is_multiple_of(1024) || SHARED.is_here()
    }
}

#[inline]
fn had<G>(tried: TryLockResult<G>) -> Option<G> {
    match tried {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

impl Home {
    pub(crate) fn new() -> Home {
        Home::of(process::id())
    }

    const fn of(process: u32) -> Home {
        Home { process: AtomicU32::new(process), locked_for_ever: AtomicBool::new(false) }
    }

    /// Of another process.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Home {
        Home::of(u32::MAX)
    }

    /// Those threads are of this process.
    pub(crate) fn is_moved_here(&self) {
        self.process.store(process::id(), Relaxed);
    }

    pub(crate) fn is_here(&self) -> bool {
        let process = self.process.load(Relaxed);
        process == UNKNOWN || process == process::id()
    }

    /// Locks, but for ever waits for nobody. Only who has to wait asks the system which process this is.
    #[inline]
    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        had(mutex.try_lock()).or_else(|| {
            let lock = || mutex.lock().unwrap_or_else(PoisonError::into_inner);
            self.wait(|| had(mutex.try_lock()), lock)
        })
    }

    #[cold]
    fn wait<G>(&self, again: impl Fn() -> Option<G>, lock: impl FnOnce() -> G) -> Option<G> {
        if self.is_here() {
            return Some(lock());
        }
        for tried in 0..TRIES {
            if self.locked_for_ever.load(Relaxed) {
                return None;
            }
            if let Some(held) = again() {
                return Some(held);
            }
            if tried < AT_ONCE { thread::yield_now() } else { thread::sleep(PAUSE) }
        }
        self.locked_for_ever.store(true, Relaxed);
        None
    }
}
