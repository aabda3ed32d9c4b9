//! Defaults for a purpose.

/// What holds where neither the program nor the environment says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// On one's own machine: spans as trees and lines for people on stdout, `/metrics` on
    /// `127.0.0.1:9464`.
    Development,
    /// In a deployment: all signals go to an OTLP receiver, by default one on this machine, lines are
    /// JSON, and SIGTERM and SIGINT flush before they end the process, unless the program
    /// [handles them](crate::Builder::leave_signals).
    Production,
    /// In tests: nothing leaves the process, nothing is printed but redspan's own warnings (on stderr), and the
    /// environment is not read.
    Testing,
}

impl Preset {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Preset::Development => "development",
            Preset::Production => "production",
            Preset::Testing => "testing",
        }
    }
}
