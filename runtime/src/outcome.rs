//! How a call ended.

use std::fmt;

/// How a call ended: exactly one of these, always.
///
/// `outcome` is redspan's own label. `result`, the label autometrics uses, folds a panic into
/// `error` ([`Outcome::result`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The call returned, and the value was no error.
    Ok = 0,
    /// The call returned an error.
    Error = 1,
    /// The call unwound.
    Panic = 2,
    /// The call's future was dropped after its first poll and before it was ready.
    Cancelled = 3,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Outcome; 4] = [Outcome::Ok, Outcome::Error, Outcome::Panic, Outcome::Cancelled];

    /// The value of the label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Panic => "panic",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// The value of autometrics' label `result`: a panic is an error there.
    pub const fn result(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error | Outcome::Panic => "error",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
