//! What one exporter did.

use crate::home;
use crate::span::export::ExportError;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Numbers of one exporter, and how it fares.
#[derive(Debug)]
pub(crate) struct ExporterStats {
    /// What it is and where it sends to.
    pub(crate) description: String,
    exported: AtomicU64,
    in_flight: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Since when it is sending what is in flight.
    sending: Option<Instant>,
    dropped: BTreeMap<&'static str, u64>,
    last_success: Option<Instant>,
    last_error: Option<(Instant, String)>,
    /// Durations of exports that nobody has put into the histogram yet, by the error's kind.
    durations: Vec<(Option<&'static str>, Duration)>,
}

/// Whoever takes longer for a batch may hang. After as long it is said in the log, too.
pub(in crate::span) const MAY_HANG: Duration = Duration::from_secs(15);

/// Durations that are kept between two looks at the metrics; more are left out.
const DURATIONS: usize = 4096;

type Panicked = Box<dyn Any + Send>;

impl ExporterStats {
    pub(crate) fn new(description: String) -> Self {
        ExporterStats {
            description,
            exported: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    fn told(&self) -> Option<MutexGuard<'_, Told>> {
        home::lock(&self.told)
    }

    pub(in crate::span) fn sending(&self, spans: u64) {
        self.in_flight.store(spans, Relaxed);
        if let Some(mut told) = self.told() {
            told.sending = Some(Instant::now());
        }
    }

    /// How many it is sending, and since when.
    pub(in crate::span) fn in_flight(&self) -> (u64, Option<Instant>) {
        (self.in_flight.load(Relaxed), self.told().and_then(|told| told.sending))
    }

    /// An export of `spans` has ended.
    pub(in crate::span) fn done(
        &self,
        spans: u64,
        result: &Result<Result<(), ExportError>, Panicked>,
        took: Duration,
    ) {
        self.in_flight.store(0, Relaxed);
        let (lost, error) = match result {
            Ok(Ok(())) => (0, None),
            Ok(Err(error)) => {
                let lost = error.lost.map_or(spans, |lost| spans.min(lost as u64));
                (lost, Some((error.kind, error.to_string())))
            }
            Err(_) => (spans, Some((super::reason::PANICKED, "the exporter panicked".to_owned()))),
        };
        self.exported.fetch_add(spans - lost, Relaxed);
        let Some(mut told) = self.told() else { return };
        told.sending = None;
        if told.durations.len() < DURATIONS {
            told.durations.push((error.as_ref().map(|(kind, _)| *kind), took));
        }
        if lost < spans || error.is_none() {
            told.last_success = Some(Instant::now());
        }
        if let Some((kind, text)) = error {
            *told.dropped.entry(kind).or_default() += lost;
            told.last_error = Some((Instant::now(), text));
        }
    }

    pub(in crate::span) fn dropped(&self, kind: &'static str, spans: u64) {
        if let Some(mut told) = self.told() {
            *told.dropped.entry(kind).or_default() += spans;
        }
    }

    pub(super) fn take_durations(&self) -> Vec<(Option<&'static str>, Duration)> {
        self.told().map(|mut told| std::mem::take(&mut told.durations)).unwrap_or_default()
    }

    pub(crate) fn read(&self) -> ExporterHealth {
        let (held, nothing) = (self.told(), Told::default());
        let told = held.as_deref().unwrap_or(&nothing);
        let ago = |at: &Instant| at.elapsed();
        ExporterHealth {
            description: self.description.clone(),
            exported: self.exported.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            sending: told.sending.as_ref().map(ago),
            dropped: told.dropped.clone(),
            last_success: told.last_success.as_ref().map(ago),
            last_error: told.last_error.as_ref().map(|(at, text)| (ago(at), text.clone())),
        }
    }
}

/// How one exporter fares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterHealth {
    /// What it is and where it sends to; without credentials.
    pub description: String,
    /// Spans that it took.
    pub exported: u64,
    /// Spans that it is sending.
    pub in_flight: u64,
    /// For how long it has been sending them.
    pub sending: Option<Duration>,
    /// Spans that it did not take, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// How long ago it last took some.
    pub last_success: Option<Duration>,
    /// How long ago it last failed, and why.
    pub last_error: Option<(Duration, String)>,
}

impl ExporterHealth {
    /// Whether the last that was heard of it was good, and it has not been silent for fifteen seconds about what
    /// it was given.
    pub fn is_well(&self) -> bool {
        if self.sending.is_some_and(|sending| sending > MAY_HANG) {
            return false;
        }
        match (&self.last_success, &self.last_error) {
            (_, None) => true,
            (Some(success), Some((error, _))) => success < error,
            (None, Some(_)) => false,
        }
    }
}

impl fmt::Display for ExporterHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} exported", self.description, self.exported)?;
        for (kind, spans) in &self.dropped {
            write!(f, ", {spans} dropped ({kind})")?;
        }
        if let Some(sending) = self.sending.filter(|sending| *sending > MAY_HANG) {
            write!(f, ", {} in flight for {} s", self.in_flight, sending.as_secs())?;
        }
        if let Some((ago, error)) = &self.last_error {
            write!(f, ", last error {} s ago: {error}", ago.as_secs())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_that_hangs_is_not_well() {
        let stats = ExporterStats::new("to nowhere".into());
        assert!(stats.read().is_well());
        stats.sending(7);
        assert!(stats.read().is_well(), "it has only begun");
        stats.told().unwrap().sending =
            Instant::now().checked_sub(MAY_HANG + Duration::from_secs(2));
        let health = stats.read();
        assert!(!health.is_well());
        assert_eq!(health.to_string(), "to nowhere: 0 exported, 7 in flight for 17 s");
        stats.done(7, &Ok(Ok(())), MAY_HANG);
        assert!(stats.read().is_well());
    }
}
