//! What generated code may name, and nothing else: not for use by hand, and not stable.

pub use crate::call::arguments::*;
pub use crate::call::classify::absent::absent;
pub use crate::call::classify::{Returned, Verdict, by_result, holds};
pub use crate::call::{
    Call, Driven, EventSite, Started, asked, begin, begin_of, begin_with, capped, closed, constant,
    counted, debug, display, drive, drive_at, drive_handed, drive_prepared, drive_stream, enter,
    failed, gives, hand_over, held, items, keep, link, pick, prepare, quiet, value,
};
pub use crate::callsite::{CallSite, Kind, Line, NO_FIELDS, REST, Rest, SETTINGS, Settings};
pub use crate::error_type::Inner;
pub use crate::label::slot;
pub use crate::metrics::typed::Registered;
pub use crate::slo::Slo;
pub use std::boxed::Box;
pub use std::mem::ManuallyDrop;
pub use tracing;
pub use tracing_core::Level;
pub use tracing_core::field::{Empty, Value};

/// The trait by which a returned value is judged.
pub mod classify {
    pub use crate::call::classify::Judge;
}

/// The trait by which a returned value is asked for what it answers.
pub mod answer {
    pub use crate::call::classify::answer::Find;
}

/// What the derive of `Instrumented` writes, and what methods ask.
pub mod service {
    pub use crate::red::sets::Choice;
    pub use crate::service::{
        Attributes, Field, Info, Named, Of, Service, Shared, ViaDisplay, ViaLabel, ViaNobody,
        ViaNothing, ViaPlain, ViaService, of,
    };
}

/// The traits by which the derive of `ErrorType` asks an inner error.
pub mod inner {
    pub use crate::error_type::{ViaErrorType, ViaNothing};
}

/// Of a value that cannot be an error.
#[inline]
pub fn fine() -> Verdict<'static> {
    Verdict::fine()
}

/// What `ok_if` or `error_if` decided, with what the value itself says of its error.
#[inline]
pub fn judged(is_error: bool, found: Verdict<'_>) -> Verdict<'_> {
    found.overruled(is_error)
}

/// Stands in a `return` that never runs, for the type that it has.
#[cold]
pub fn typed<R>() -> R {
    unreachable!("stands behind `if false`")
}
