//! What keeps redspan running, and ends it in good order.

use super::metrics::WaysOut;
use crate::bridge::filter::Reload;
use crate::clock;
use crate::config::resource;
#[cfg(feature = "prometheus")]
use crate::expose::http::AdminListener;
use crate::in_flight::{self, InFlight};
use crate::log::LogHandle;
use crate::sample::Sampler;
use crate::span::SpanStats;
use crate::span::engine::Engine;
use std::fmt;
use std::io::{self, Write};
#[cfg(feature = "prometheus")]
use std::net::SocketAddr;
#[cfg(feature = "prometheus")]
use std::sync::PoisonError;
use std::sync::{Arc, Mutex, MutexGuard, Once, TryLockError};
use std::time::{Duration, Instant};

/// How long dropping the guard may take.
const AT_DROP: Duration = Duration::from_secs(5);

/// What is left for the log lines and the listener when an exporter that hangs has used up all the
/// time: the last lines say why the process ends.
const AT_LEAST: Duration = Duration::from_millis(250);

/// Standard error without the standard library's lock, which the thread of a log may have held when the process was
/// forked.
#[cfg(unix)]
fn stderr() -> impl Write {
    use std::os::fd::AsFd;
    io::stderr().as_fd().try_clone_to_owned().map_or_else(
        |_| Box::new(io::sink()) as Box<dyn Write>,
        |owned| Box::new(std::fs::File::from(owned)),
    )
}

#[cfg(not(unix))]
fn stderr() -> impl Write {
    io::stderr()
}

/// The guard of an installed redspan: dropping it flushes spans and logs and closes the listener.
/// An exporter that hangs is given five seconds, and the rest one more. Keep it until the end of
/// `main`. `std::process::exit` drops nothing: only log lines are written then (on Unix), so say
/// [`shutdown`](Telemetry::shutdown) before it.
#[must_use = "dropping the guard shuts redspan down: keep it, as in `let _telemetry = …`"]
pub struct Telemetry {
    pub(super) core: Arc<Core>,
    pub(super) reload: Reload,
    #[cfg(feature = "prometheus")]
    metrics_at: Option<SocketAddr>,
    said: String,
}

/// What is to be flushed and closed, by whoever comes first.
pub(super) struct Core {
    pub(super) engine: &'static Engine,
    #[cfg(feature = "prometheus")]
    admin: Mutex<Option<AdminListener>>,
    metrics: WaysOut,
    pub(super) logs: LogHandle,
    /// Held while it is being shut down; true once it is.
    shut: Mutex<bool>,
    /// Which process has the threads that all of that leaves by: a fork's child has none of them.
    process: u32,
    told: Once,
}

impl Core {
    pub(super) fn new(engine: &'static Engine, metrics: WaysOut, logs: LogHandle) -> Self {
        Core {
            engine,
            #[cfg(feature = "prometheus")]
            admin: Mutex::default(),
            metrics,
            logs,
            shut: Mutex::new(false),
            process: std::process::id(),
            told: Once::new(),
        }
    }

    /// Nothing is waited for then, since nobody would do it, and a lock that another thread held while the process
    /// was forked stays locked. It is said where that needs no thread.
    fn is_in_a_forks_child(&self) -> bool {
        let forked = std::process::id() != self.process;
        if forked {
            self.told.call_once(|| {
                let _ = writeln!(
                    stderr(),
                    "redspan: this process was forked from the one that called init!, whose threads it does not \
                     have: its spans, metrics and lines are lost; call init! after the fork"
                );
            });
        }
        forked
    }

    /// Serves pages, until it is shut down.
    #[cfg(feature = "prometheus")]
    pub(super) fn serving(&mut self, admin: Option<AdminListener>) {
        self.admin = Mutex::new(admin);
    }

    pub(super) fn flush(&self, timeout: Duration) -> bool {
        if self.is_in_a_forks_child() {
            return false;
        }
        let deadline = clock::deadline(timeout);
        let spans = self.engine.pipeline.flush_all(timeout);
        let left = || deadline.saturating_duration_since(Instant::now());
        let metrics = self.metrics.flush(left());
        let logs = self.logs.flush(left());
        spans && metrics && logs
    }

    pub(super) fn shutdown(&self, timeout: Duration) -> bool {
        if self.is_in_a_forks_child() {
            return false;
        }
        let deadline = clock::deadline(timeout);
        let Some(mut shut) = self.alone(deadline) else { return false };
        if std::mem::replace(&mut *shut, true) {
            return true;
        }
        #[cfg(feature = "otlp")]
        crate::otlp::end_by(deadline);
        let left = || deadline.saturating_duration_since(Instant::now()).max(AT_LEAST.min(timeout));
        self.metrics.end_soon();
        let spans = self.engine.pipeline.shutdown(timeout);
        // After the spans, so that the last exemplars are among them.
        let metrics = self.metrics.shutdown(left);
        #[cfg(feature = "prometheus")]
        let listener = {
            let admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner).take();
            admin.is_none_or(|admin| admin.shutdown(left()))
        };
        #[cfg(not(feature = "prometheus"))]
        let listener = true;
        if !metrics {
            tracing::warn!(target: "redspan", "the process ends before its last metrics were exported");
        }
        self.logs.say_suppressed();
        let logs = self.logs.flush(left());
        #[cfg(feature = "otlp")]
        if !logs {
            self.logs.say_unsent(AT_LEAST.min(timeout));
        }
        spans && metrics && listener && logs
    }

    /// A signal's thread may be at it while `main` ends: the process must not, before that is done.
    fn alone(&self, deadline: Instant) -> Option<MutexGuard<'_, bool>> {
        loop {
            match self.shut.try_lock() {
                Ok(held) => return Some(held),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Telemetry {
    pub(super) fn new(core: Arc<Core>, said: String) -> Self {
        #[cfg(feature = "prometheus")]
        let metrics_at = {
            let admin = core.admin.lock().unwrap_or_else(PoisonError::into_inner);
            admin.as_ref().map(AdminListener::local_addr)
        };
        Telemetry {
            core,
            reload: Reload::default(),
            #[cfg(feature = "prometheus")]
            metrics_at,
            said,
        }
    }

    /// Sends what has ended and what was counted, and writes what was logged by now. False if
    /// `timeout` passed first.
    ///
    /// It blocks the calling thread, and needs nothing of the caller's async runtime.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.core.flush(timeout)
    }

    /// Flushes, and closes everything. Spans that end later are counted as dropped. False if
    /// `timeout` passed first. Again, it does nothing.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        self.core.shutdown(timeout)
    }

    /// Calls in flight, with age and place, those that have run longest first.
    ///
    /// Calls are listed from the first time on that this is asked; until then each pays for it with one
    /// look at a flag. Those that began earlier, and those beyond a bound, are given as a number for
    /// each function, without an age. With the feature `prometheus` it is also a page, `/in-flight`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let telemetry = redspan::init!()?;
    /// for call in telemetry.in_flight() {
    ///     println!("{call}"); // 4.503 s  shop::charge at src/shop.rs:17
    /// }
    /// # Ok(()) }
    /// ```
    pub fn in_flight(&self) -> Vec<InFlight> {
        in_flight::list()
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
        self.core.engine.set_sampler(sampler);
    }

    /// What became of the sampled spans.
    pub fn spans(&self) -> SpanStats {
        self.core.engine.pipeline.read_stats()
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

    /// What was put into effect, for people; without credentials. What was changed since, such as the sampler, is not
    /// in it.
    pub fn describe(&self) -> &str {
        &self.said
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if self.core.is_in_a_forks_child() {
            // Each of its parts would wait for its own thread.
            std::mem::forget(Arc::clone(&self.core));
            return;
        }
        self.core.engine.pipeline.let_go();
        self.shutdown(AT_DROP);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Telemetry").field(&self.said).finish()
    }
}
