//! What a thread keeps from line to line, and from one layer to the next.

use std::cell::Cell;
use std::time::SystemTime;

use super::clock::Seconds;
use super::fields::Fields;

/// Memory for one event.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) fields: Fields,
    /// Which event's they are, if the next layer may have them.
    fields_of: Option<Shared>,
    pub(super) line: Vec<u8>,
    pub(super) seconds: Seconds,
}

/// A line longer than this gives its memory back.
const KEPT: usize = 64 * 1024;

/// Which of the thread's events; no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Serial(u64);

/// Which event, and where it stands: a layer may hand another one to another subscriber meanwhile, which
/// nobody says to be under way.
type Shared = (Serial, usize);

#[inline]
fn shared<E>(event: &E) -> Option<Shared> {
    UNDER_WAY.get().map(|serial| (serial, std::ptr::from_ref(event).addr()))
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    // None of these has a destructor.
    static LAST: Cell<u64> = const { Cell::new(0) };
    static UNDER_WAY: Cell<Option<Serial>> = const { Cell::new(None) };
    static TIME: Cell<Option<(Serial, SystemTime)>> = const { Cell::new(None) };
}

/// One event goes through the layers until this is dropped: what one of them makes of it, the next may
/// use. It is for the subscriber around all layers: where there is none, each works for itself.
pub(crate) struct UnderWay {
    outer: Option<Serial>,
}

impl UnderWay {
    #[inline]
    pub(crate) fn begin() -> UnderWay {
        let serial = LAST.get().wrapping_add(1);
        LAST.set(serial);
        UnderWay { outer: UNDER_WAY.replace(Some(Serial(serial))) }
    }
}

impl Drop for UnderWay {
    #[inline]
    fn drop(&mut self) {
        UNDER_WAY.set(self.outer);
    }
}

/// The time of the event: of all layers the same.
#[inline]
pub(crate) fn time() -> SystemTime {
    let now = UNDER_WAY.get();
    if let (Some(now), Some((of, time))) = (now, TIME.get())
        && of == now
    {
        return time;
    }
    let time = SystemTime::now();
    TIME.set(now.map(|now| (now, time)));
    time
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

impl Scratch {
    /// Begins with the fields of another event, or with the same in another way.
    #[inline]
    pub(crate) fn start(&mut self, room: usize) {
        self.fields_of = None;
        self.fields.start(room);
    }

    /// The fields of `event` are complete, and as the next layer may have them.
    #[inline]
    pub(crate) fn share<E>(&mut self, event: &E) {
        self.fields_of = shared(event);
    }

    /// Whether the fields are those of this event already: for one layer, which may add to them.
    #[inline]
    pub(super) fn take_shared<E>(&mut self, event: &E) -> bool {
        let of = self.fields_of.take();
        of.is_some() && of == shared(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_within_an_event_has_its_own_time_and_fields() {
        let event = "stands for one";
        let mut scratch = Scratch::default();
        let outer = UnderWay::begin();
        let time_of_outer = time();
        scratch.share(&event);
        {
            let _inner = UnderWay::begin();
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(time() > time_of_outer);
            let mut inner = Scratch::default();
            assert!(!inner.take_shared(&event));
            inner.share(&event);
            assert!(inner.take_shared(&event) && !inner.take_shared(&event));
            inner.share(&event);
            assert!(!inner.take_shared(&"another"));
        }
        assert!(scratch.take_shared(&event));
        scratch.share(&event);
        drop(outer);
        let _next = UnderWay::begin();
        assert!(!scratch.take_shared(&event));
    }

    #[test]
    fn where_nobody_says_that_an_event_is_under_way_nothing_is_shared() {
        let event = "stands for one";
        let mut scratch = Scratch::default();
        scratch.share(&event);
        assert!(!scratch.take_shared(&event));
        let first = time();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(time() > first);
    }
}
