//! The process that a lock is of: a fork's child has its locks, and not the threads that hold them.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

/// How often a fork's child asks for a lock, with a pause: who else holds one does so for less than a microsecond.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);

/// The process whose threads do what others wait for. What a fork's child finds locked may have been locked by a thread that
/// the child does not have, and stays so: none may wait for it.
pub(crate) struct Home {
    process: AtomicU32,
    /// Of a child: a lock was not to be had. It never will be.
    locked_for_ever: AtomicBool,
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { process: AtomicU32::new(process::id()), locked_for_ever: AtomicBool::new(false) }
    }

    /// Of another process.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Home {
        Home { process: AtomicU32::new(0), ..Home::new() }
    }

    /// Those threads are of this process.
    pub(crate) fn is_moved_here(&self) {
        self.process.store(process::id(), Relaxed);
    }

    pub(crate) fn is_here(&self) -> bool {
        self.process.load(Relaxed) == process::id()
    }

    /// Locks, but for ever waits for nobody. Only who has to wait asks the system which process this is.
    #[inline]
    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        match mutex.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => self.wait(mutex),
        }
    }

    #[cold]
    fn wait<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        if self.is_here() {
            return Some(mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        }
        for _ in 0..TRIES {
            if self.locked_for_ever.load(Relaxed) {
                return None;
            }
            match mutex.try_lock() {
                Ok(held) => return Some(held),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
        self.locked_for_ever.store(true, Relaxed);
        None
    }
}
