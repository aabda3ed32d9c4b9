//! What is compared with what.

mod autometrics_calls;
mod bare;
mod exporting;
mod fastrace_spans;
mod log_lines;
mod metric_handles;
mod otel_api;
mod parts;
mod red_by_hand;
mod red_by_handles;
mod redspan_calls;
mod redspan_elsewhere;
mod tracing_spans;

use crate::discard;

/// One way to instrument a function, in one situation.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// What exactly is on.
    pub(crate) says: &'static str,
    /// Whether calls, errors, durations and calls in flight are counted as well.
    pub(crate) red: bool,
    /// Instrumented calls that one turn of the load makes. All numbers are for one of them.
    pub(crate) deep: u64,
    /// Whether each call exports a span.
    pub(crate) exports: bool,
    /// The peer that its ratio is taken to.
    pub(crate) against: Option<&'static str>,
    /// Another package of this workspace, whose program runs it.
    pub(crate) package: Option<&'static str>,
    pub(crate) set_up: fn() -> Running,
}

/// What is comparable stands in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    NoSpan,
    UnsampledRoot,
    UnsampledNested,
    SampledRoot,
    SampledNested,
    Fields,
    Errors,
    Async,
    Exporting,
    Counter,
    Labelled,
    Histogram,
    LogLine,
    LogOff,
}

impl Group {
    pub(crate) const ALL: [Group; 14] = [
        Group::NoSpan,
        Group::UnsampledRoot,
        Group::UnsampledNested,
        Group::SampledRoot,
        Group::SampledNested,
        Group::Fields,
        Group::Errors,
        Group::Async,
        Group::Exporting,
        Group::Counter,
        Group::Labelled,
        Group::Histogram,
        Group::LogLine,
        Group::LogOff,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::NoSpan => "no span",
            Group::UnsampledRoot => "a root that is not sampled",
            Group::UnsampledNested => "a call below a root that is not sampled",
            Group::SampledRoot => "a sampled root",
            Group::SampledNested => "sampled, five calls deep (numbers for one of the five)",
            Group::Fields => "a sampled root with fields",
            Group::Errors => "a sampled root whose call fails",
            Group::Async => "a sampled root, async",
            Group::Exporting => {
                "a sampled root, sent to a receiver in a process of its own, OTLP over HTTP: compare \
                 what the process takes"
            }
            Group::Counter => "a counter, its handle at hand",
            Group::Labelled => "a counter with two labels, found by their values",
            Group::Histogram => "a histogram, its handle at hand",
            Group::LogLine => "a line of JSON with ids and five fields",
            Group::LogOff => "a line whose level is off",
        }
    }
}

/// A scenario that is set up.
pub(crate) struct Running {
    /// Makes that many turns.
    pub(crate) burst: fn(u64),
    /// Waits until the spans recorded so far have left.
    pub(crate) drain: Box<dyn Fn() + Sync>,
    /// Spans that were recorded, where that is not one for each call.
    pub(crate) recorded: Option<fn() -> u64>,
    /// Spans that arrived so far, or that a policy has decided to drop.
    pub(crate) arrived: Box<dyn Fn() -> u64>,
}

impl Running {
    fn new(burst: fn(u64), drain: impl Fn() + Sync + 'static) -> Self {
        let arrived = Box::new(discard::taken);
        Running { burst, drain: Box::new(drain), recorded: None, arrived }
    }

    fn without_spans(burst: fn(u64)) -> Self {
        Running::new(burst, || ())
    }
}

/// All of them, in the table's order within a group.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        bare::SCENARIOS,
        redspan_calls::SCENARIOS,
        redspan_elsewhere::SCENARIOS,
        red_by_hand::SCENARIOS,
        red_by_handles::SCENARIOS,
        autometrics_calls::SCENARIOS,
        fastrace_spans::SCENARIOS,
        otel_api::SCENARIOS,
        parts::SCENARIOS,
        tracing_spans::SCENARIOS,
        exporting::SCENARIOS,
        metric_handles::SCENARIOS,
        log_lines::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// How deep the nested scenarios go.
const DEEP: u64 = 5;

/// A scenario with everything said but what differs: `Scenario { …, ..ROOT }`.
const ROOT: Scenario = Scenario {
    name: "",
    group: Group::SampledRoot,
    says: "",
    red: false,
    deep: 1,
    exports: true,
    against: None,
    package: None,
    set_up: || unreachable!("every scenario has a set-up of its own"),
};
