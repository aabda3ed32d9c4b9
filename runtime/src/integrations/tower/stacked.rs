//! Several server layers around one request: the outermost makes its span and its numbers, and the others tell it what
//! it cannot know.

use crate::outcome::Outcome;
use ::http::Extensions;
use std::borrow::Cow;

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
