//! What became of the lines, among the metrics.

use metrics::{CounterFn, Key, KeyName};

use super::handle::LogHandle;
use crate::metrics::made::Description;
use crate::metrics::store::{Kind, Store};

// OpenTelemetry has no names for lines.
const WRITTEN: &str = "redspan.log.written";
const DROPPED: &str = "redspan.log.dropped";
const SUPPRESSED: &str = "redspan.log.suppressed";

impl LogHandle {
    /// Writes the numbers into the process' store.
    pub(crate) fn publish(&self) {
        counter(WRITTEN, "Log lines that their destinations took.", self.written());
        counter(DROPPED, "Log lines that were lost: no room, or no way out.", self.dropped());
        counter(SUPPRESSED, "Log lines that a limit left out.", self.suppressed());
    }
}

fn counter(name: &'static str, help: &'static str, value: u64) {
    let description = Description {
        unit: "{line}".into(),
        help: help.into(),
        by_rules: true,
        source: Some("redspan".into()),
        ..Description::default()
    };
    // Taken only if the application has a metric of that name.
    if Store::global().define(Kind::Counter, &KeyName::from(name), description).is_ok()
        && let Some(counter) = Store::global().counter(&Key::from_static_name(name))
    {
        counter.absolute(value);
    }
}
