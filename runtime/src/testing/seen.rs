//! What was seen in a scope.

use super::span::SeenSpan;
use crate::callsite::CallSite;
use crate::context::scope::{self, Open};
use crate::exemplar::Exemplar;
use crate::exemplar::Slot;
use crate::log::{LogRecord, ScopedLogs};
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Buckets, Identity, Series, Snapshot, Value};
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::span::scoped::ScopedSpans;
use opentelemetry::trace::SpanId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// What was seen in a scope: spans, metrics and logs together.
///
/// It is live: what still runs in the scope's context after [`scope`](super::scope) has returned
/// shows up as it ends.
pub struct Seen {
    #[expect(dead_code, reason = "work that is still running in the scope finds it by this")]
    pub(super) open: Open,
    pub(super) before: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) store: Arc<Store>,
    pub(super) spans: Arc<ScopedSpans>,
    pub(super) logs: ScopedLogs,
}

/// How the calls of a function ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All that began.
    pub started: u64,
    /// Returned without an error.
    pub ok: u64,
    /// Returned an error.
    pub error: u64,
    /// Unwound.
    pub panic: u64,
    /// Were dropped.
    pub cancelled: u64,
    /// Began and have not ended.
    pub in_flight: u64,
}

/// What a histogram holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Seen {
    /// All spans that have ended, in the order of their ends.
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.spans.ended().into_iter().map(SeenSpan).collect()
    }

    /// All spans of that name.
    pub fn spans_named(&self, name: &str) -> Vec<SeenSpan> {
        self.spans().into_iter().filter(|span| span.name() == name).collect()
    }

    /// The one span of that name.
    ///
    /// # Panics
    /// When there is none, or more than one; the message shows what there is.
    #[track_caller]
    pub fn span(&self, name: &str) -> SeenSpan {
        let mut found = self.spans_named(name);
        match (found.pop(), found.len()) {
            (Some(span), 0) => span,
            (_, more) => panic!(
                "{} spans are named `{name}`, not one; seen:\n{self:?}",
                if more == 0 { 0 } else { more + 1 }
            ),
        }
    }

    /// The parent of a span, if it ended in this scope.
    pub fn parent_of(&self, span: &SeenSpan) -> Option<SeenSpan> {
        let parent = span.parent_id()?;
        self.spans().into_iter().find(|candidate| candidate.span_id() == parent)
    }

    /// The spans as indented names, children in the order of their starts.
    pub fn tree(&self) -> String {
        let mut spans = self.spans();
        spans.sort_by_key(|span| span.data().start_time);
        let known: Vec<SpanId> = spans.iter().map(SeenSpan::span_id).collect();
        let mut text = String::new();
        for root in &spans {
            if root.parent_id().is_none_or(|parent| !known.contains(&parent)) {
                branch(&spans, root, 0, &mut text);
            }
        }
        text
    }

    /// How the calls of the function ended, by the label `function`, which the option `name` does not
    /// change. Sites of one function name are added up.
    ///
    /// # Panics
    /// When the program has no annotated function of that name, naming those it has: a count of
    /// zero would look like a function that was not called.
    #[track_caller]
    pub fn calls(&self, function: &str) -> Calls {
        let known = || crate::catalog().map(CallSite::function);
        if !known().any(|name| name == function) {
            let names: BTreeSet<_> = known().collect();
            panic!("no annotated function is named `{function}`; there are {names:?}");
        }
        let mut calls = Calls::default();
        for (site, red) in self.store.red() {
            if site.function() == function {
                calls.started += red.started;
                calls.ok += red.count(Outcome::Ok);
                calls.error += red.count(Outcome::Error);
                calls.panic += red.count(Outcome::Panic);
                calls.cancelled += red.count(Outcome::Cancelled);
                calls.in_flight += red.in_flight();
            }
        }
        calls
    }

    /// The value of a counter, by its name as it was made, or as it is on the page with or without
    /// `_total`. All series that have these labels are added up: `&[]` is the whole metric. `None` if there
    /// are none; a function's are there from the start, at zero.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let values = self.points(name, labels).into_iter().filter_map(|value| match value {
            Value::Counter { value: Number::Whole(value), .. } => Some(value),
            Value::Counter { value, .. } => Some(value.as_f64() as u64),
            _ => None,
        });
        values.reduce(|a, b| a + b)
    }

    /// The value of a gauge, or of what rises and sinks; added up as [`Seen::counter`] does.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.points(name, labels).into_iter().filter_map(|value| match value {
            Value::Gauge(value) => Some(value),
            Value::UpDown(value) => Some(value.as_f64()),
            _ => None,
        });
        values.reduce(|a, b| a + b)
    }

    /// What a histogram holds; added up as [`Seen::counter`] does.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Distribution> {
        let values = self.points(name, labels).into_iter().filter_map(|value| match value {
            Value::Histogram(Buckets { held, .. }) => {
                Some(Distribution { count: held.count(), sum: held.sum() })
            }
            _ => None,
        });
        values.reduce(|a, b| Distribution { count: a.count + b.count, sum: a.sum + b.sum })
    }

    /// The exemplars of a metric: of a function's (`function_calls_total`,
    /// `function_calls_duration_seconds`) or of one made through the `metrics` crate; of all series that
    /// have these labels.
    pub fn exemplars(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Exemplar> {
        let of_one = |value| match value {
            Value::Counter { exemplar, .. } => exemplar.into_iter().collect(),
            Value::Histogram(Buckets { exemplars, .. }) => {
                exemplars.iter().filter_map(Slot::get).collect()
            }
            Value::Gauge(_) | Value::UpDown(_) => Vec::new(),
        };
        self.points(name, labels).into_iter().flat_map(of_one).collect()
    }

    /// Every series that is above zero, sorted, as `name{key="value",…} number`: by its name on the page,
    /// and of a histogram, as `…_count`, how many values it holds. For a test that lists all there is;
    /// redspan's own are among them: `build_info`, and what the scope's sampler decided about each root
    /// (`redspan_sampler_decisions_total{decision="sample",reason="always_on"}`, unless it has another).
    /// Labels are in alphabetical order; those that tell of the service are there, and empty.
    pub fn series(&self) -> Vec<String> {
        let snapshot = Snapshot::gather(&self.store, &Identity::default());
        let mut lines = Vec::new();
        for family in snapshot.families {
            for series in family.series {
                let (end, value) = match series.value {
                    Value::Counter { value, .. } => ("_total", value.as_f64()),
                    Value::Histogram(buckets) => ("_count", buckets.held.count() as f64),
                    Value::Gauge(value) => ("", value),
                    Value::UpDown(value) => ("", value.as_f64()),
                };
                if value > 0.0 {
                    let labels = series.labels.iter();
                    let labels: Vec<String> = labels
                        .map(|label| format!("{}={:?}", label.key(), label.value()))
                        .collect();
                    let name = &family.name;
                    lines.push(format!("{name}{end}{{{}}} {value}", labels.join(",")));
                }
            }
        }
        lines.sort();
        lines
    }

    fn points(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Value> {
        let family_name = name.strip_suffix("_total").unwrap_or(name);
        let snapshot = Snapshot::gather(&self.store, &Identity::default());
        let mut families = snapshot.families.into_iter();
        let Some(family) = families.find(|it| it.name == family_name || it.otel_name == name)
        else {
            return Vec::new();
        };
        let fits = |series: &Series| {
            labels.iter().all(|&(key, value)| {
                series.labels.iter().any(|label| label.key() == key && label.value() == value)
            })
        };
        family.series.into_iter().filter(fits).map(|series| series.value).collect()
    }

    /// All log records, in their order.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.logs.records()
    }

    /// The first log record whose message contains `text`.
    ///
    /// # Panics
    /// When there is none; the message shows what there is.
    #[track_caller]
    pub fn log(&self, text: &str) -> LogRecord {
        let logs = self.logs();
        match logs.iter().find(|record| record.message.contains(text)) {
            Some(record) => record.clone(),
            None => panic!("no log record says `{text}`; seen:\n{self:?}"),
        }
    }

    /// Functions that were called outside every scope since this one was opened, by path, with how
    /// often: usually what a plain `spawn` started, or what another test runs without a scope.
    pub fn outside(&self) -> Vec<(String, u64)> {
        let mut outside = Vec::new();
        for ((module, function), count) in scope::outside() {
            let more = count - self.before.get(&(module, function)).copied().unwrap_or(0);
            if more > 0 {
                outside.push((format!("{module}::{function}"), more));
            }
        }
        outside
    }

    /// # Panics
    /// When something ran outside, naming it.
    #[track_caller]
    pub fn assert_nothing_outside(&self) {
        let outside = self.outside();
        assert!(
            outside.is_empty(),
            "these were called outside every scope: {outside:?}; carry the context to where they \
             run, with `redspan::context`"
        );
    }
}

fn branch(spans: &[SeenSpan], span: &SeenSpan, depth: usize, text: &mut String) {
    let _ = writeln!(text, "{:indent$}{}", "", span.name(), indent = depth * 2);
    for child in spans.iter().filter(|child| child.parent_id() == Some(span.span_id())) {
        branch(spans, child, depth + 1, text);
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "spans:\n{}logs:", self.tree())?;
        for record in self.logs() {
            writeln!(f, "{} {}", record.severity, record.message)?;
        }
        for (function, count) in self.outside() {
            writeln!(f, "outside: {function} {count} times")?;
        }
        Ok(())
    }
}
