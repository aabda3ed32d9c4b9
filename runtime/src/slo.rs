//! What a function promises: the option `slo`.

use crate::red::Bounds;
use std::time::Duration;

/// The objectives of a function: which share of its calls succeeds, and which takes no longer than a
/// threshold.
///
/// They are labels of its metrics, under the names of autometrics, from which recording and alerting
/// rules are made.
#[derive(Debug)]
pub struct Slo {
    name: &'static str,
    success: Option<&'static str>,
    latency: Option<Latency>,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug)]
struct Latency {
    nanos: u64,
    target: &'static str,
}

impl Slo {
    /// No objective yet. Written by the attribute.
    #[doc(hidden)]
    pub const fn new(name: &'static str) -> Self {
        Slo { name, success: None, latency: None, bounds: Bounds::DEFAULT }
    }

    /// `target` percent of the calls succeed.
    #[doc(hidden)]
    #[must_use]
    pub const fn success(self, target: &'static str) -> Self {
        Slo { success: Some(target), ..self }
    }

    /// `target` percent of the calls take at most `nanos`, which becomes a boundary of the histogram.
    #[doc(hidden)]
    #[must_use]
    pub const fn latency(self, nanos: u64, target: &'static str) -> Self {
        let bounds = Bounds::with(nanos);
        Slo { latency: Some(Latency { nanos, target }), bounds, ..self }
    }

    /// The label `objective_name`: what the option says, or else the span's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The percentage of calls that are to succeed, as written.
    pub fn success_target(&self) -> Option<&'static str> {
        self.success
    }

    /// The percentage of calls that are to take no longer than [`threshold`](Self::threshold), as
    /// written.
    pub fn latency_target(&self) -> Option<&'static str> {
        self.latency.map(|latency| latency.target)
    }

    /// How long a call may take.
    pub fn threshold(&self) -> Option<Duration> {
        self.latency.map(|latency| Duration::from_nanos(latency.nanos))
    }

    /// The label `objective_latency_threshold`: seconds, as `le` says them where whole ones have no point.
    pub(crate) fn threshold_label(&self) -> Option<String> {
        let seconds = self.latency?.nanos as f64 / 1e9;
        Some(if seconds < 1e-4 {
            // As Go writes small numbers: two digits of exponent.
            let text = format!("{seconds:e}");
            text.split_once("e-")
                .map_or(text.clone(), |(digits, exponent)| format!("{digits}e-{exponent:0>2}"))
        } else {
            seconds.to_string()
        })
    }

    pub(crate) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

#[cfg(test)]
mod tests {
    use super::Slo;

    #[test]
    fn the_threshold_is_written_as_prometheus_writes_bounds() {
        for (nanos, text) in [
            (250_000_000, "0.25"),
            (1_000_000_000, "1"),
            (50_000, "5e-05"),
            (1_500, "1.5e-06"),
            (100_000, "0.0001"),
        ] {
            let slo = Slo::new("x").latency(nanos, "99");
            assert_eq!(slo.threshold_label().unwrap(), text);
            let seconds: Vec<f64> = slo.bounds().seconds().to_vec();
            assert!(
                seconds.contains(&text.parse().unwrap()),
                "{text} is no boundary of {seconds:?}"
            );
            assert!(seconds.is_sorted());
        }
    }
}
