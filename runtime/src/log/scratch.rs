//! Memory that a thread keeps from line to line.

use std::cell::Cell;

use super::clock::Seconds;
use super::fields::Fields;

#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) fields: Fields,
    pub(super) line: Vec<u8>,
    pub(super) seconds: Seconds,
}

/// A line longer than this gives its memory back.
const KEPT: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Taken, not borrowed: a user's `Debug` may log, and that line finds none and makes its own. Past the
/// end of the thread there is none either.
#[inline]
pub(crate) fn take() -> Box<Scratch> {
    SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

/// For the next one.
#[inline]
pub(crate) fn keep(mut scratch: Box<Scratch>) {
    scratch.line.shrink_to(KEPT);
    let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
}
