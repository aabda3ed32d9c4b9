//! What a service holds, as it says itself.

use crate::heap;
use redspan_tests::process::{Beside, resident};
use std::fmt;

/// What the service holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Look {
    /// Bytes of its heap.
    pub(crate) live: u64,
    /// Bytes of its memory; zero, as all that follows, where the system does not tell.
    pub(crate) resident: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

impl Look {
    /// Asks a service that answers [`now`].
    pub(crate) fn of(service: &mut Beside) -> Self {
        let said = service.ask("look");
        let mut numbers = said.split(' ').map(|it| it.parse().expect("a number"));
        let [live, resident, threads, descriptors] =
            std::array::from_fn(|_| numbers.next().expect("four numbers"));
        Look { live, resident, threads, descriptors }
    }

    /// At this process.
    pub(crate) fn here() -> Self {
        Look {
            live: heap::live(),
            resident: resident().unwrap_or_default(),
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
        }
    }

    /// Of each the greater.
    pub(crate) fn max(self, other: Self) -> Self {
        Look {
            live: self.live.max(other.live),
            resident: self.resident.max(other.resident),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }

    /// Whether nothing exceeds that of `before` by more than that of `more`.
    pub(crate) fn is_within(self, before: Self, more: Self) -> bool {
        self.live <= before.live + more.live
            && self.resident <= before.resident + more.resident
            && self.threads <= before.threads + more.threads
            && self.descriptors <= before.descriptors + more.descriptors
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Look { live, resident, threads, descriptors } = self;
        let (live, resident) = (live / 1024, resident / 1024);
        write!(
            f,
            "{live} KiB of heap, {resident} KiB resident, {threads} threads, {descriptors} descriptors"
        )
    }
}

fn count(directory: &str) -> u64 {
    std::fs::read_dir(directory).map_or(0, |entries| entries.count() as u64)
}

/// What this process holds now, in the form that [`Look::of`] reads.
pub(crate) fn now() -> String {
    let Look { live, resident, threads, descriptors } = Look::here();
    format!("{live} {resident} {threads} {descriptors}")
}
