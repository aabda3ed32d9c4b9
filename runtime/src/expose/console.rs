//! Metrics on stdout, for people.

use crate::expose::openmetrics::{self, Format};
use crate::expose::periodic::MetricSink;
use crate::metrics::snapshot::Snapshot;
use std::io::Write;
use std::time::Duration;

/// Prints each snapshot as the page that a scrape would show.
pub(crate) struct ConsoleMetrics;

impl MetricSink for ConsoleMetrics {
    fn describe(&self) -> String {
        "stdout".into()
    }

    fn export(&mut self, snapshot: &Snapshot, _: Duration) {
        let mut page = String::new();
        if openmetrics::write(snapshot, Format::OpenMetrics, &mut page).is_ok() {
            // A reader that is gone is none of ours.
            let _ = std::io::stdout().lock().write_all(page.as_bytes());
        }
    }
}
