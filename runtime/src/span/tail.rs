//! The tail policy: a local trace is kept or dropped once its local root has ended.
//!
//! A local trace is a local root (a span without a parent in this process) and all spans below it.
//! All of it runs on the collector's thread; callers pay nothing for it. Two bounds hold, one on
//! bytes and one on age; what reaches them is decided early, by what is known then, and counted.

use super::record::Record;
use crate::context::pending::Downstream;
use crate::outcome::Outcome;
use crate::sample::{Decision, Sampler, Sampling, TraceIdRatio, trace_id_ratio};
use opentelemetry::trace::{SpanId, Status, TraceId};
use opentelemetry::{KeyValue, Value};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Which local traces are kept: those that hold an error, a panic, a cancellation, or a span slower
/// than its threshold, and a share of all others.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), redspan::InitError> {
/// let policy = redspan::tail::policy()
///     .slower_than(Duration::from_millis(500))
///     .slower_than_in("checkout", Duration::from_secs(2))
///     .ratio(0.01);
/// let _telemetry = redspan::builder().tail(policy).install()?;
/// # Ok(())
/// # }
/// ```
///
/// The root of a kept trace says why in `redspan.kept`: `error`, `panic`, `cancelled`, `slow`,
/// `ratio`. The ratio decides by the trace id, so services with the same ratio keep the same
/// traces. RED counts every call, and exemplars name kept traces only.
#[derive(Clone, Debug)]
#[must_use = "give it to `redspan::builder().tail(…)`"]
pub struct TailPolicy {
    slow: Option<Duration>,
    slow_in: HashMap<String, Duration>,
    ratio: TraceIdRatio,
    max_bytes: usize,
    max_age: Duration,
    pub(crate) downstream: Downstream,
}

/// A policy that keeps errors, panics and cancellations, and nothing else.
pub fn policy() -> TailPolicy {
    TailPolicy {
        slow: None,
        slow_in: HashMap::new(),
        ratio: trace_id_ratio(0.0),
        max_bytes: 64 << 20,
        max_age: Duration::from_secs(60),
        downstream: Downstream::default(),
    }
}

impl TailPolicy {
    /// Keeps traces with a span that took longer than this.
    pub fn slower_than(mut self, threshold: Duration) -> Self {
        self.slow = Some(threshold);
        self
    }

    /// Another threshold for spans of this name.
    pub fn slower_than_in(mut self, span: impl Into<String>, threshold: Duration) -> Self {
        self.slow_in.insert(span.into(), threshold);
        self
    }

    /// Keeps this share of the traces that nothing else keeps, from 0.0 to 1.0.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = trace_id_ratio(ratio);
        self
    }

    /// The memory that pending traces may hold: 64 MiB unless set. Over it the oldest are decided.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a trace may be pending: a minute unless set. Then it is decided although its root
    /// is still running, and what ends later follows that decision.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// What services downstream are told of pending traces.
    pub fn propagate(mut self, downstream: Downstream) -> Self {
        self.downstream = downstream;
        self
    }

    /// Why this span alone keeps its trace.
    fn reason(&self, record: &Record) -> Option<&'static str> {
        match record.end.outcome {
            Some(Outcome::Panic) => return Some("panic"),
            Some(Outcome::Cancelled) => return Some("cancelled"),
            Some(Outcome::Error) => return Some("error"),
            _ if matches!(record.live.status, Status::Error { .. }) => return Some("error"),
            _ => {}
        }
        let threshold = self.slow_in.get(&*record.live.name).copied().or(self.slow);
        threshold.filter(|&threshold| record.duration() > threshold).map(|_| "slow")
    }

    fn by_ratio(&self, trace_id: TraceId) -> Option<&'static str> {
        let decision = self.ratio.sample(&Sampling::new(trace_id, ""));
        (decision == Decision::Sample).then_some("ratio")
    }
}

/// How long a decided trace is remembered, for spans that outlive their root.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Bytes that a remembered decision costs, about.
const DECIDED: usize = 64;

/// The spans of one trace id that have ended here.
struct Trace {
    since: Instant,
    waiting: Vec<Record>,
    /// Spans whose fate is settled, and which it is.
    decided: HashMap<SpanId, bool>,
    /// For good: its age or the memory's bound has settled all that follows.
    sealed: Option<bool>,
    bytes: usize,
}

/// What comes of spans: kept, or dropped for a reason.
pub(super) trait Outlet {
    fn keep(&mut self, record: Record);
    fn drop(&mut self, reason: &'static str);
}

/// Why the policy's spans are dropped, as the counter says it.
pub(super) mod reason {
    /// Nothing kept its trace.
    pub(in crate::span) const NOT_KEPT: &str = "tail_not_kept";
    /// Decided early, for want of memory, and nothing kept it.
    pub(in crate::span) const OVERFLOW: &str = "tail_overflow";
    /// Decided early, for its age, and nothing kept it.
    pub(in crate::span) const AGE: &str = "tail_age";
}

/// Traces and a time of each, the oldest first.
type Queue = VecDeque<(Instant, TraceId)>;

/// The traces that are pending.
pub(super) struct Tail {
    policy: TailPolicy,
    traces: HashMap<TraceId, Trace>,
    /// When each came.
    arrivals: Queue,
    /// When each was decided: it is remembered for a while.
    decided: Queue,
    /// When each was sealed: it is remembered as long as a trace may be pending.
    sealed: Queue,
    waiting: u64,
    /// Roots that ended in this round, and in the one before. A root is decided a round later: by
    /// then the spans that ended before it on other threads are here.
    roots: [Vec<(TraceId, SpanId)>; 2],
    bytes: usize,
}

impl Tail {
    pub(super) fn new(policy: TailPolicy) -> Self {
        Tail {
            policy,
            traces: HashMap::new(),
            arrivals: Queue::new(),
            decided: Queue::new(),
            sealed: Queue::new(),
            waiting: 0,
            roots: Default::default(),
            bytes: 0,
        }
    }

    /// Spans that wait for their decision.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// A span has ended.
    pub(super) fn take(&mut self, record: Record, now: Instant, out: &mut impl Outlet) {
        let trace_id = record.live.context.trace_id();
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            self.arrivals.push_back((now, trace_id));
            let (waiting, decided) = Default::default();
            Trace { since: now, waiting, decided, sealed: None, bytes: 0 }
        });
        let parent = record.live.local_parent();
        let known = trace.sealed.or_else(|| trace.decided.get(&parent?).copied());
        let id = record.live.context.span_id();
        if parent.is_none() {
            self.roots[0].push((trace_id, id));
        }
        let size = size(&record);
        trace.bytes += size;
        self.bytes += size;
        trace.waiting.push(record);
        self.waiting += 1;
        if let Some(kept) = known {
            // It outlived its root, and so did what waits for it.
            self.settle(trace_id, id, kept, None, reason::NOT_KEPT, out);
        }
    }

    /// A round of the collector is over: decides about the roots of the last one, about what is too
    /// old, and about the oldest where there is no more room. All of it at the end.
    pub(super) fn round(&mut self, now: Instant, last: bool, out: &mut impl Outlet) {
        for _ in 0..if last { 2 } else { 1 } {
            let due = std::mem::take(&mut self.roots[1]);
            self.roots.swap(0, 1);
            for (trace_id, root) in due {
                self.decide(trace_id, root, out);
                self.decided.push_back((now, trace_id));
            }
        }
        self.forget(now);
        while let Some(&(since, trace_id)) = self.arrivals.front() {
            let pending = self
                .traces
                .get(&trace_id)
                .is_some_and(|trace| trace.since == since && !trace.waiting.is_empty());
            let why = match () {
                () if !pending => None,
                () if last => Some(reason::NOT_KEPT),
                () if self.bytes > self.policy.max_bytes => Some(reason::OVERFLOW),
                () if now.saturating_duration_since(since) > self.policy.max_age => {
                    Some(reason::AGE)
                }
                () => break,
            };
            self.arrivals.pop_front();
            if let Some(why) = why {
                self.seal(trace_id, why, out);
                self.sealed.push_back((now, trace_id));
            }
        }
        // Behind a trace that is pending for long, those that are done pile up.
        if self.arrivals.len() > 2 * self.traces.len() + 1024 {
            let traces = &self.traces;
            self.arrivals.retain(|(since, id)| traces.get(id).is_some_and(|it| it.since == *since));
        }
    }

    /// Forgets decisions that have been remembered long enough, or that take the room of spans.
    fn forget(&mut self, now: Instant) {
        let times = [REMEMBERED, self.policy.max_age];
        for (queue, time) in [&mut self.decided, &mut self.sealed].into_iter().zip(times) {
            while let Some(&(since, trace_id)) = queue.front() {
                let full = self.bytes > self.policy.max_bytes;
                if now.saturating_duration_since(since) <= time && !full {
                    break;
                }
                queue.pop_front();
                if self.traces.get(&trace_id).is_some_and(|trace| trace.waiting.is_empty()) {
                    let bytes = self.traces.remove(&trace_id).map_or(0, |trace| trace.bytes);
                    self.bytes = self.bytes.saturating_sub(bytes);
                }
            }
        }
    }

    /// Decides about a root and what is below it.
    fn decide(&mut self, trace_id: TraceId, root: SpanId, out: &mut impl Outlet) {
        let Some(trace) = self.traces.get(&trace_id) else { return };
        if trace.decided.contains_key(&root) {
            return;
        }
        let below = trace.below(root);
        let reasons = below.iter().filter_map(|&at| self.policy.reason(&trace.waiting[at]));
        // The gravest, so that a trace which panicked is not filed under slow.
        let why = reasons.min_by_key(|&why| gravity(why)).or(self.policy.by_ratio(trace_id));
        self.settle(trace_id, root, why.is_some(), why, reason::NOT_KEPT, out);
    }

    /// Settles the fate of a span and of all below it that has ended.
    fn settle(
        &mut self,
        trace_id: TraceId,
        top: SpanId,
        kept: bool,
        why: Option<&'static str>,
        unless: &'static str,
        out: &mut impl Outlet,
    ) {
        let Some(trace) = self.traces.get_mut(&trace_id) else { return };
        let mut below = trace.below(top);
        // From the back, so that the places in front stay where they are.
        below.sort_unstable_by(|a, b| b.cmp(a));
        for at in below {
            let mut record = trace.waiting.swap_remove(at);
            self.waiting -= 1;
            let freed = size(&record);
            trace.bytes = trace.bytes.saturating_sub(freed) + DECIDED;
            self.bytes = self.bytes.saturating_sub(freed) + DECIDED;
            let id = record.live.context.span_id();
            trace.decided.insert(id, kept);
            if kept {
                if let Some(why) = why.filter(|_| id == top) {
                    let extra = record.live.extra.get_or_insert_default();
                    extra.set(KeyValue::new("redspan.kept", why));
                }
                out.keep(record);
            } else {
                out.drop(unless);
            }
        }
    }

    /// Settles what waits of a trace whose root is still running, or was lost, and all that follows.
    fn seal(&mut self, trace_id: TraceId, unless: &'static str, out: &mut impl Outlet) {
        let Some(trace) = self.traces.get_mut(&trace_id) else { return };
        let waiting = std::mem::take(&mut trace.waiting);
        self.waiting -= waiting.len() as u64;
        let reasons = waiting.iter().filter_map(|record| self.policy.reason(record));
        let why = reasons.min_by_key(|&why| gravity(why)).or(self.policy.by_ratio(trace_id));
        // What was decided before holds: part of it is with the exporter already.
        let before = trace.sealed.or_else(|| trace.decided.values().copied().max());
        let kept = before.unwrap_or(why.is_some());
        for record in waiting {
            match kept {
                true => out.keep(record),
                false => out.drop(unless),
            }
        }
        trace.decided = HashMap::new();
        trace.sealed = Some(kept);
        self.bytes = self.bytes.saturating_sub(std::mem::replace(&mut trace.bytes, DECIDED));
        self.bytes += DECIDED;
    }
}

impl Trace {
    /// Where `top` and the spans below it wait.
    fn below(&self, top: SpanId) -> Vec<usize> {
        let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
        let mut found = Vec::new();
        for (at, record) in self.waiting.iter().enumerate() {
            if record.live.context.span_id() == top {
                found.push(at);
            } else if let Some(parent) = record.live.local_parent() {
                children.entry(parent).or_default().push(at);
            }
        }
        let mut next = 0;
        let mut from = Some(top);
        while let Some(id) = from {
            found.extend(children.remove(&id).unwrap_or_default());
            // The first is `top` itself, whose children are in already.
            next += 1;
            from = found.get(next).map(|&at| self.waiting[at].live.context.span_id());
        }
        found
    }
}

fn gravity(why: &str) -> usize {
    ["panic", "error", "cancelled", "slow"].iter().position(|&word| word == why).unwrap_or(9)
}

/// The memory of a record, about.
fn size(record: &Record) -> usize {
    fn values(pairs: &[KeyValue]) -> usize {
        let text = |pair: &KeyValue| match &pair.value {
            Value::String(text) => text.as_str().len(),
            Value::Array(_) => 256,
            _ => 0,
        };
        pairs.iter().map(|pair| size_of::<KeyValue>() + text(pair)).sum()
    }
    let extra = record.live.extra.as_ref().map_or(0, |extra| {
        let events =
            extra.events.iter().map(|event| 96 + event.name.len() + values(&event.attributes));
        let links = extra.links.iter().map(|link| 96 + values(&link.attributes));
        256 + values(&extra.attributes) + events.sum::<usize>() + links.sum::<usize>()
    });
    size_of::<Record>() + extra
}

#[cfg(test)]
mod tests;
