//! A tracing span entered by hand.

use tracing_core::Dispatch;
use tracing_core::span::Id;

/// A tracing span that is entered while this lives: tracing's own guards borrow or own the span.
pub(super) struct Entered {
    id: Id,
    dispatch: Dispatch,
}

impl Entered {
    pub(super) fn enter(span: &tracing::Span) -> Option<Self> {
        span.with_subscriber(|(id, dispatch)| {
            dispatch.enter(id);
            Entered { id: id.clone(), dispatch: dispatch.clone() }
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.dispatch.exit(&self.id);
    }
}
