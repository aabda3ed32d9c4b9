//! What became of lines, and a way to wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tracing_core::LevelFilter;

use crate::clock;

use super::limit::Limiter;
use super::sink::number;
use super::writer::Lines;

/// What became of the lines of a [log layer](crate::log::layer), and a way to wait for them.
#[derive(Clone, Debug)]
pub struct LogHandle {
    sinks: Arc<[(Out, Arc<AtomicU8>)]>,
    limiter: Option<Arc<Limiter>>,
}

/// What became of the lines of one sink.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Lines(Lines),
    #[cfg(feature = "otlp")]
    Otlp(Arc<super::otlp::Shared>),
}

impl Out {
    fn written(&self) -> u64 {
        match self {
            Out::Lines(lines) => lines.written(),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.written(),
        }
    }

    fn dropped(&self) -> u64 {
        match self {
            Out::Lines(lines) => lines.dropped(),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.dropped(),
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Out::Lines(lines) => lines.problem(),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.problem(),
        }
    }

    fn flush(&self, deadline: Instant) -> bool {
        match self {
            Out::Lines(lines) => lines.flush(deadline),
            #[cfg(feature = "otlp")]
            Out::Otlp(records) => records.flush(deadline),
        }
    }
}

impl LogHandle {
    pub(super) fn one(out: Out, level: Arc<AtomicU8>) -> LogHandle {
        LogHandle { sinks: [(out, level)].into(), limiter: None }
    }

    /// One for several.
    pub(super) fn of(
        handles: impl Iterator<Item = LogHandle>,
        limiter: Option<Arc<Limiter>>,
    ) -> LogHandle {
        let sinks = handles.flat_map(|handle| handle.sinks.to_vec()).collect();
        LogHandle { sinks, limiter }
    }

    fn outs(&self) -> impl Iterator<Item = &Out> {
        self.sinks.iter().map(|(out, _)| out)
    }

    /// From the next line on, the sinks that this is the handle of take lines of this level and above. A
    /// handle of one sink is [`Sink::handle`](super::Sink::handle). What the filter in front of the layer
    /// refuses, no sink gets: that one is changed by
    /// [`Telemetry::set_log_filter`](crate::Telemetry::set_log_filter).
    ///
    /// ```
    /// use redspan::log;
    /// use tracing::Level;
    ///
    /// let errors = log::stderr().level(Level::ERROR);
    /// let about_errors = errors.handle();
    /// let layer = log::layer().also(errors);
    /// // Later, when somebody looks for something:
    /// about_errors.set_level(Level::DEBUG);
    /// # let _ = layer;
    /// ```
    pub fn set_level(&self, level: impl Into<LevelFilter>) {
        let level = number(level.into());
        self.sinks.iter().for_each(|(_, held)| held.store(level, Relaxed));
    }

    /// How many lines were dropped: too many waiting, the destination failed, or an event whose `Debug`
    /// logs itself without end. A line that two sinks drop counts twice.
    pub fn dropped(&self) -> u64 {
        self.outs().map(Out::dropped).sum()
    }

    /// Why the last lines were lost, if a destination took them not.
    pub(crate) fn problem(&self) -> Option<String> {
        self.outs().find_map(Out::problem)
    }

    /// How many lines the destinations have taken.
    pub fn written(&self) -> u64 {
        self.outs().map(Out::written).sum()
    }

    /// How many lines a [limit](super::limit) has suppressed. They are neither written nor dropped.
    pub fn suppressed(&self) -> u64 {
        self.limiter.as_ref().map_or(0, |limiter| limiter.suppressed())
    }

    /// Says what a limit has suppressed and no line has told.
    pub(crate) fn say_suppressed(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.say();
        }
    }

    /// Waits until the lines logged so far are written or dropped; `false` if `timeout` passes first.
    ///
    /// Nothing is stopped: lines after it are written as before. Call it at the end of `main`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline(timeout);
        // All of them, also those behind one that hangs.
        self.outs().filter(|sink| !sink.flush(deadline)).count() == 0
    }

    /// Says of each receiver how many records nobody waits for any longer, and waits until that is written
    /// where lines are.
    #[cfg(feature = "otlp")]
    pub(crate) fn say_unsent(&self, timeout: Duration) {
        self.outs().for_each(|out| match out {
            Out::Otlp(records) => records.say_unsent(),
            Out::Lines(_) => {}
        });
        let deadline = clock::deadline(timeout);
        self.outs().filter(|out| matches!(out, Out::Lines(_))).for_each(|out| {
            out.flush(deadline);
        });
    }
}
