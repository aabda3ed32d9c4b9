//! Where a request lies while it is in flight.

use super::exchange::Exchange;
use crate::spares::Spares;

type Place = Box<Option<Exchange>>;

/// Of those that a thread used, so many are kept for its next requests.
const MOST: usize = 64;

thread_local! {
    static PLACES: Spares<Place, MOST> = const { Spares::new() };
}

/// A request in flight, or none. One word, since futures and answers that have it are moved about.
///
/// A thread uses the places of requests that ended on it again: they are too large for what an allocator
/// hands out without a lock, once tasks have carried some of them to other threads.
pub(super) struct InFlight(Option<Place>);

impl InFlight {
    pub(super) const NONE: InFlight = InFlight(None);

    pub(super) fn new(exchange: Exchange) -> Self {
        let mut place = Spares::take(&PLACES).unwrap_or_default();
        *place = Some(exchange);
        InFlight(Some(place))
    }

    pub(super) fn get(&mut self) -> Option<&mut Exchange> {
        self.0.as_deref_mut()?.as_mut()
    }

    pub(super) fn take(&mut self) -> InFlight {
        InFlight(self.0.take())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        // Before anything is borrowed: what it holds may come here.
        *place = None;
        Spares::keep(&PLACES, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrations::http::Called;
    use ::http::{Method, Request};
    use std::sync::Arc;

    fn begin() -> InFlight {
        let called = Called::new(&Method::GET, None);
        Exchange::begin(&Arc::default(), &mut Request::new(()), called, &())
    }

    fn place(flight: &mut InFlight) -> *const Exchange {
        std::ptr::from_ref(flight.get().expect("it is in flight"))
    }

    #[test]
    fn a_place_is_used_again_and_bounded_ones_are_kept() {
        let mut first = begin();
        let at = place(&mut first);
        assert!(first.take().get().is_some());
        assert!(first.get().is_none());
        let mut again = begin();
        assert!(std::ptr::eq(place(&mut again), at));
        let many: Vec<InFlight> = (0..2 * MOST).map(|_| begin()).collect();
        drop(many);
        let spared = |places: &[Place]| (places.len(), places.iter().all(|place| place.is_none()));
        assert_eq!(Spares::held(&PLACES, spared), (MOST, true));
    }
}
