//! What generated code may name, and nothing else: not for use by hand, and not stable.

pub use crate::call::arguments::*;
pub use crate::call::classify::{Returned, Verdict, holds};
pub use crate::call::{Call, Driven, Started, begin, debug, display, drive, enter, value};
pub use crate::callsite::{CallSite, Kind};
pub use tracing_core::Level;
pub use tracing_core::field::Value;

/// The traits by which a returned value is judged.
pub mod classify {
    pub use crate::call::classify::{
        ViaAny, ViaBoxed, ViaDisplay, ViaError, ViaResult, ViaSendSync,
    };
}

/// Stands behind the `await` of an async function that never returns.
pub fn diverged() -> ! {
    unreachable!("the future of a function that returns `!` was ready")
}
