//! Where the signals go.

use super::env::Env;
use super::otlp::{self, Signal};
use super::preset::Preset;

/// Where spans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TracesExporter {
    /// To an OTLP receiver.
    Otlp,
    /// To stdout, as trees.
    Console,
}

/// Where metrics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsExporter {
    /// To an OTLP receiver.
    Otlp,
    /// Served at `/metrics`.
    Prometheus,
    /// To stdout.
    Console,
}

/// Where log records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogsExporter {
    /// To an OTLP receiver.
    Otlp,
    /// To stdout, as lines.
    Console,
}

// The specification's default is otlp for all three; a laptop without a Collector would then see
// nothing but errors. So the network is asked for by an endpoint, a word, or the production preset.

pub(super) fn traces(env: &mut Env, preset: Option<Preset>) -> Vec<TracesExporter> {
    use TracesExporter::{Console, Otlp};
    let words = [("otlp", Otlp), ("console", Console)];
    let accepted = "otlp and console, parted by commas, or none alone";
    env.list("OTEL_TRACES_EXPORTER", accepted, &words).unwrap_or_else(|| {
        match (otlp::endpoint_is_set(env, Signal::Traces), preset) {
            (true, _) | (_, Some(Preset::Production)) => vec![Otlp],
            (false, Some(Preset::Development)) => vec![Console],
            (false, _) => Vec::new(),
        }
    })
}

pub(super) fn metrics(env: &mut Env, preset: Option<Preset>) -> Vec<MetricsExporter> {
    use MetricsExporter::{Console, Otlp, Prometheus};
    let words = [("otlp", Otlp), ("prometheus", Prometheus), ("console", Console)];
    let accepted = "otlp, prometheus and console, parted by commas, or none alone";
    env.list("OTEL_METRICS_EXPORTER", accepted, &words).unwrap_or_else(|| {
        match (otlp::endpoint_is_set(env, Signal::Metrics), preset) {
            (true, _) | (_, Some(Preset::Production)) => vec![Otlp],
            (false, Some(Preset::Development)) => vec![Prometheus],
            (false, _) => Vec::new(),
        }
    })
}

pub(super) fn logs(env: &mut Env, preset: Option<Preset>) -> Vec<LogsExporter> {
    use LogsExporter::{Console, Otlp};
    let words = [("otlp", Otlp), ("console", Console)];
    let accepted = "otlp and console, parted by commas, or none alone";
    env.list("OTEL_LOGS_EXPORTER", accepted, &words).unwrap_or_else(|| {
        match (otlp::endpoint_is_set(env, Signal::Logs), preset) {
            // Lines stay where people look for them.
            (true, _) | (_, Some(Preset::Production)) => vec![Console, Otlp],
            (false, Some(Preset::Testing)) => Vec::new(),
            (false, _) => vec![Console],
        }
    })
}
