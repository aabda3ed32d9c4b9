//! What a testing scope stands on, when nothing is installed.

use super::builder::Builder;
use super::error::InitError;
use crate::config::env::Env;
use crate::log;
use crate::span::engine;
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// By whom redspan was installed, where that was done here.
pub(super) const FILE: &str = file!();

/// Installs a redspan that exports nothing, unless one is installed: spans, lines and numbers of
/// scopes stay with them, and what runs outside is silent.
pub(crate) fn install_for_tests() -> Result<(), InitError> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if engine::get().is_some() {
        return Ok(());
    }
    // Nothing of the environment may change what a test sees.
    let everything = HashMap::from([("RUST_LOG", "trace")]);
    let silent = log::layer().with_writer(io::sink());
    let telemetry = Builder::default().env(Env::of(everything)).logs(silent).install()?;
    // It lasts as long as the test process.
    std::mem::forget(telemetry);
    Ok(())
}
