//! Numbers that change together, and are read as of one moment.

use super::atomic::Ordering::{Acquire, Relaxed, Release};
use super::atomic::{AtomicU64, Patience, fence, pause, spin};

/// Numbers of which a reader sees each change wholly or not at all; it stops no writer.
///
/// A reader looks again when a change came in between. One that does not get through says that it
/// waits, and writers then go elsewhere: there are many of these.
pub(crate) struct Together<const N: usize> {
    /// Odd while a change is being written.
    version: AtomicU64,
    /// Readers that ask writers to go elsewhere.
    waiting: AtomicU64,
    cells: [AtomicU64; N],
}

impl<const N: usize> Default for Together<N> {
    fn default() -> Self {
        Together {
            version: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            cells: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// Looks that a reader takes before it asks writers to go elsewhere.
const LOOKS: u32 = 4;

/// Looks after which a reader lets other threads run: a writer was interrupted inside.
const PATIENCE: u32 = 64;

impl<const N: usize> Together<N> {
    /// Adds to two numbers at once; `false`, and nothing has changed, if somebody is in the way.
    ///
    /// `own` is for a thread that is the only writer.
    #[inline]
    pub(crate) fn add(&self, own: bool, [one, other]: [(usize, u64); 2]) -> bool {
        if self.waiting.load(Relaxed) != 0 {
            return false;
        }
        let version = self.version.load(Relaxed);
        if own {
            self.version.store(version.wrapping_add(1), Relaxed);
        } else {
            let entered = || self.version.compare_exchange(version, version | 1, Acquire, Relaxed);
            if version & 1 == 1 || entered().is_err() {
                return false;
            }
        }
        // Who reads any of what follows sees the odd version too.
        fence(Release);
        for (at, more) in [one, other] {
            if let Some(cell) = self.cells.get(at) {
                cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
            }
        }
        self.version.store(version.wrapping_add(2), Release);
        true
    }

    /// All numbers as of one moment. What happened before the last change in them is seen as well.
    pub(crate) fn read(&self) -> [u64; N] {
        let mut looks = 0;
        // Dropped on the way out.
        let mut _waiting = None;
        let mut patience = Patience::default();
        loop {
            let version = self.version.load(Acquire);
            let seen = std::array::from_fn(|at| self.cells[at].load(Relaxed));
            fence(Acquire);
            if version & 1 == 0 && self.version.load(Relaxed) == version {
                return seen;
            }
            // A thread that a fork's child does not have was interrupted inside.
            if looks >= PATIENCE && !patience.is_left() {
                return seen;
            }
            looks += 1;
            match looks {
                LOOKS => _waiting = Some(Waiting::new(&self.waiting)),
                PATIENCE.. => pause(),
                _ => spin(),
            }
        }
    }
}

struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
