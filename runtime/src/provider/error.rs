//! Why redspan could not be installed.

use crate::config::ConfigError;
use std::fmt;
use std::io;
use std::panic::Location;

/// Why `init!` or `install` failed. Nothing is installed then.
#[non_exhaustive]
pub enum InitError {
    /// It was installed before, there.
    AlreadyInstalled(&'static Location<'static>),
    /// The program has a `tracing` subscriber of its own.
    SubscriberSet,
    /// A setting cannot be used.
    Config(ConfigError),
    /// The listener of `/metrics` could not be opened.
    Listener(String),
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "testing")]
            InitError::AlreadyInstalled(first) if first.file() == super::for_tests::FILE => f.write_str(
                "redspan is already installed, by the first testing scope of this process: what a test \
                 calls in a scope needs no `init!`; a test that calls `main` runs in a process of its own",
            ),
            InitError::AlreadyInstalled(first) => write!(
                f,
                "redspan is already installed, at {first}: install it once, in `main`, and keep \
                 its guard"
            ),
            InitError::SubscriberSet => f.write_str(
                "a global `tracing` subscriber is already set: give its layers to \
                 `redspan::builder().layer(…)` instead, or keep it and leave `init!` out",
            ),
            InitError::Config(error) => error.fmt(f),
            InitError::Listener(message) => f.write_str(message),
            InitError::Thread(error) => {
                write!(f, "redspan's background thread could not be started: {error}")
            }
        }
    }
}

/// As [`Display`](fmt::Display): a `main` that returns the error shows this.
impl fmt::Debug for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InitError::Config(error) => Some(error),
            InitError::Thread(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for InitError {
    fn from(error: ConfigError) -> Self {
        InitError::Config(error)
    }
}
