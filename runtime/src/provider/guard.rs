//! What keeps redspan running, and ends it in good order.

use crate::config::resource;
#[cfg(feature = "prometheus")]
use crate::expose::http::AdminListener;
use crate::log::LogHandle;
use crate::sample::Sampler;
use crate::span::SpanStats;
use crate::span::engine::Engine;
use std::fmt;
#[cfg(feature = "prometheus")]
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
#[cfg(feature = "prometheus")]
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long dropping the guard may take.
const AT_DROP: Duration = Duration::from_secs(5);

/// What is left for the log lines and the listener when an exporter that hangs has used up all the
/// time: the last lines say why the process ends.
const AT_LEAST: Duration = Duration::from_millis(250);

/// The guard of an installed redspan: dropping it flushes spans and logs and closes the listener.
/// An exporter that hangs is given five seconds, and the rest one more. Keep it until the end of
/// `main`.
#[must_use = "dropping the guard shuts redspan down: keep it, as in `let _telemetry = …`"]
pub struct Telemetry {
    pub(super) engine: &'static Engine,
    #[cfg(feature = "prometheus")]
    metrics_at: Option<SocketAddr>,
    #[cfg(feature = "prometheus")]
    admin: Mutex<Option<AdminListener>>,
    pub(super) logs: LogHandle,
    said: String,
    shut: AtomicBool,
}

impl Telemetry {
    pub(super) fn new(engine: &'static Engine, logs: LogHandle, said: String) -> Self {
        Telemetry {
            engine,
            #[cfg(feature = "prometheus")]
            metrics_at: None,
            #[cfg(feature = "prometheus")]
            admin: Mutex::default(),
            logs,
            said,
            shut: AtomicBool::new(false),
        }
    }

    #[cfg(feature = "prometheus")]
    pub(super) fn serving(mut self, admin: Option<AdminListener>) -> Self {
        self.metrics_at = admin.as_ref().map(AdminListener::local_addr);
        self.admin = Mutex::new(admin);
        self
    }

    /// Sends what has ended and writes what was logged by now. False if `timeout` passed first.
    ///
    /// It blocks the calling thread, and needs nothing of the caller's async runtime.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let spans = self.engine.pipeline.flush_all(timeout);
        let logs = self.logs.flush(deadline.saturating_duration_since(Instant::now()));
        spans && logs
    }

    /// Flushes, and closes everything. Spans that end later are counted as dropped. False if
    /// `timeout` passed first. Again, it does nothing.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        if self.shut.swap(true, Relaxed) {
            return true;
        }
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now()).max(AT_LEAST.min(timeout));
        let spans = self.engine.pipeline.shutdown(timeout);
        #[cfg(feature = "prometheus")]
        let listener = {
            let admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner).take();
            admin.is_none_or(|admin| admin.shutdown(left()))
        };
        #[cfg(not(feature = "prometheus"))]
        let listener = true;
        let logs = self.logs.flush(left());
        spans && listener && logs
    }

    /// Changes what decides which spans are recorded, from the next span on; spans that have started
    /// keep their decision, and so does what follows them.
    ///
    /// ```no_run
    /// use redspan::sample::{parent_based, trace_id_ratio};
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let telemetry = redspan::init!()?;
    /// telemetry.set_sampler(parent_based(trace_id_ratio(0.01)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Nothing changes in a process that exports no spans.
    pub fn set_sampler(&self, sampler: impl Sampler) {
        let sampler: Box<dyn Sampler> = Box::new(sampler);
        tracing::info!(target: "redspan", "sampled by {}", sampler.describe());
        self.engine.set_sampler(sampler);
    }

    /// What became of the sampled spans.
    pub fn spans(&self) -> SpanStats {
        self.engine.pipeline.read_stats()
    }

    /// Where `/metrics` is served, if it is.
    #[cfg(feature = "prometheus")]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_at
    }

    /// Who this process says that it is, in traces, metrics and logs.
    pub fn resource(&self) -> &opentelemetry_sdk::Resource {
        resource::installed()
    }

    /// What is in effect, for people; without credentials.
    pub fn describe(&self) -> &str {
        &self.said
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.shutdown(AT_DROP);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Telemetry").field(&self.said).finish()
    }
}
