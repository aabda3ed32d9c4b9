//! Lines to files that are changed in time.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use tracing_appender::rolling;

use super::sink::{self, Sink};
use crate::config::ConfigError;

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// Every hour, in UTC.
    Hourly,
    /// Every day, in UTC.
    Daily,
    /// Every week, on Sunday, in UTC.
    Weekly,
    /// Never.
    Never,
}

/// Files in a directory, named `<prefix>.<time>.log`: a new one each day or as `rotation` says, of which
/// the newest `keep` stay. JSON unless something else is said.
///
/// The directory is made if it is not there. Where a new file cannot be begun later, the old one is
/// written on; a full disk drops lines, counted, until there is room again.
///
/// ```
/// use redspan::log::{self, Rotation};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join("redspan-log-doc");
/// let layer = log::layer().also(log::file(&directory, "shop", Rotation::Daily, 7)?);
/// # drop(layer);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the directory or the first file cannot be made.
pub fn file(
    directory: impl AsRef<Path>,
    prefix: &str,
    rotation: Rotation,
    keep: usize,
) -> Result<Sink, ConfigError> {
    let rotation = match rotation {
        Rotation::Hourly => rolling::Rotation::HOURLY,
        Rotation::Daily => rolling::Rotation::DAILY,
        Rotation::Weekly => rolling::Rotation::WEEKLY,
        Rotation::Never => rolling::Rotation::NEVER,
    };
    let directory = directory.as_ref();
    let refused = |error: &dyn Display| {
        ConfigError::new(format!(
            "log files cannot be written to {}: {error}; expected a directory that this process may \
             write to",
            directory.display()
        ))
    };
    // The appender looks for old files first, and complains on stderr where there is no directory yet.
    fs::create_dir_all(directory).map_err(|error| refused(&error))?;
    let files = rolling::Builder::new()
        .rotation(rotation)
        .filename_prefix(prefix)
        .filename_suffix("log")
        .max_log_files(keep.max(1))
        .build(directory)
        .map_err(|error| refused(&error))?;
    Ok(sink::to(files))
}
