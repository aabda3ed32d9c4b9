//! Several server layers around one request: the outermost makes its span and its numbers, and the others tell it what
//! it cannot know.

use crate::outcome::Outcome;
use ::http::Extensions;
use std::borrow::Cow;
use std::cell::RefCell;
use std::mem;

/// Stands in the extensions of a request that a layer further out counts. It has no size: it is kept without
/// a piece of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted;

/// As [`Counted`], of a request whose lines a layer further out writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lined;

impl Counted {
    /// Whether a layer further out counts the request; from now on this one does.
    pub(super) fn begin(of: &mut Extensions) -> bool {
        of.insert(Counted).is_some()
    }
}

impl Lined {
    /// Whether a layer further out writes the request's lines; from now on this one does.
    pub(super) fn begin(of: &mut Extensions) -> bool {
        of.insert(Lined).is_some()
    }
}

/// What is sent is not what was received, also where it was given all that stood with that.
pub(super) fn is_another(request: &mut Extensions) {
    request.remove::<Counted>();
    request.remove::<Lined>();
}

/// What a layer tells the one further out, in the extensions of the answer.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    pub(super) route: Option<Cow<'static, str>>,
    /// That the answer stands in the place of the service's, and why: its status says less.
    pub(super) replaced: Option<(Outcome, &'static str)>,
}

/// What a layer further out hears of the route.
enum Heard {
    NobodyListens,
    Nothing,
    Route(Cow<'static, str>),
}

thread_local! {
    static HEARD: RefCell<Heard> = const { RefCell::new(Heard::NobodyListens) };
}

/// Puts it in place of what was heard; nothing where the thread is ending.
fn hear(heard: Heard) -> Heard {
    HEARD.try_with(|here| here.replace(heard)).unwrap_or(Heard::NobodyListens)
}

/// Runs what a layer further in may end in, and returns the route that it tells: its answer does not do so where none
/// comes, for a timeout in between or a client that has gone, or where another one took its place.
pub(super) fn listening<T>(work: impl FnOnce() -> T) -> (T, Option<Cow<'static, str>>) {
    /// Who listened before does so again, also when something unwinds.
    struct Before(Heard);
    impl Drop for Before {
        fn drop(&mut self) {
            hear(mem::replace(&mut self.0, Heard::NobodyListens));
        }
    }
    let _before = Before(hear(Heard::Nothing));
    let done = work();
    match hear(Heard::Nothing) {
        Heard::Route(route) => (done, Some(route)),
        Heard::NobodyListens | Heard::Nothing => (done, None),
    }
}

/// Tells the layer further out the route of a request that ends.
pub(super) fn tell(route: Cow<'static, str>) {
    let _ = HEARD.try_with(|heard| {
        let mut heard = heard.borrow_mut();
        if let Heard::Nothing = *heard {
            *heard = Heard::Route(route);
        }
    });
}
