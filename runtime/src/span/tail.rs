//! The tail policy: a local trace is kept or dropped once its local root has ended.
//!
//! A local trace is a local root (a span without a parent in this process) and all spans below it.
//! All of it runs on the collector's thread; callers pay nothing for it. Two bounds hold, one on
//! bytes and one on age; what reaches them is decided early, by what is known then, and counted.

use super::record::Record;
use super::size::{PIECE, of_record as size};
use crate::callsite::CallSite;
use crate::context::pending::Downstream;
use crate::outcome::Outcome;
use crate::sample::{Decision, Sampler, Sampling, TraceIdRatio, trace_id_ratio};
use crate::slo::Slo;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, Status, TraceId};
use std::collections::{HashMap, HashSet, VecDeque};
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
///
/// A local trace is a local root, that is a span without a parent in this process, and what is below
/// it: each service decides about its own part. Spans that outlive their root follow its decision,
/// for [`max_age`](Self::max_age) if the trace was kept and for at least two seconds if it was dropped; one
/// that fails later than that may be kept alone. Memory stays below
/// [`max_bytes`](Self::max_bytes) besides what the export queue and the threads' buffers hold.
#[derive(Clone, Debug)]
#[must_use = "give it to `redspan::builder().tail(…)`"]
pub struct TailPolicy {
    slow: Option<Duration>,
    slow_in: HashMap<String, Duration>,
    objectives: bool,
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
        objectives: false,
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

    /// Keeps traces with a call that took longer than its function promises: the threshold of
    /// `#[instrumented(slo(latency = "250ms", target = 99.9))]`. It holds for that function in place
    /// of [`slower_than`](Self::slower_than), and [`slower_than_in`](Self::slower_than_in) in place
    /// of it.
    pub fn slower_than_objective(mut self) -> Self {
        self.objectives = true;
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
            _ if matches!(record.live.status(), Status::Error { .. }) => return Some("error"),
            _ => {}
        }
        let site = record.live.site.filter(|_| self.objectives);
        let promised = || site.and_then(CallSite::slo).and_then(Slo::threshold);
        let named = self.slow_in.get(record.live.name()).copied();
        let threshold = named.or_else(promised).or(self.slow);
        threshold.filter(|&threshold| record.lasted() > threshold).map(|_| "slow")
    }

    /// Why these spans keep their trace.
    fn why(&self, trace_id: TraceId, spans: &[Record]) -> Option<&'static str> {
        let reasons = spans.iter().filter_map(|record| self.reason(record));
        // The gravest, so that a trace which panicked is not filed under slow.
        reasons.min_by_key(|&why| gravity(why)).or_else(|| self.by_ratio(trace_id))
    }

    fn by_ratio(&self, trace_id: TraceId) -> Option<&'static str> {
        let decision = self.ratio.sample(&Sampling::new(trace_id, ""));
        (decision == Decision::Sample).then_some("ratio")
    }
}

/// How long a decision to drop is remembered, for spans that outlive their root. One to keep is
/// remembered as long as a trace may be pending: there are few of those.
const REMEMBERED: Duration = Duration::from_secs(2);

/// Bytes that a remembered decision costs, about: tables are half empty.
const DECIDED: usize = 24;

/// The share of the memory that remembered decisions may take, each kind of them.
const BOOKS: usize = 8;

/// Bytes that a pending trace costs besides its spans, about: tables are half empty, and the one of
/// its parents has four places at least.
const TRACE: usize = 2 * (size_of::<(TraceId, Trace)>() + size_of::<(Instant, TraceId)>())
    + 2 * size_of::<(SpanId, Vec<Record>)>()
    + PIECE;

/// Bytes that a parent costs besides its children, about.
const PARENT: usize = 2 * size_of::<(SpanId, Vec<Record>)>() + PIECE;

/// The spans of one trace id that have ended here and wait.
struct Trace {
    since: Instant,
    /// By their parents, so that nothing is looked through that a decision is not about.
    waiting: HashMap<SpanId, Vec<Record>>,
    /// What was decided about other spans of it.
    before: Option<bool>,
}

/// Decisions, forgotten after a while: the older half is thrown away at once.
struct Book {
    halves: [HashSet<u64>; 2],
    turned: Option<Instant>,
}

impl Book {
    const fn new(halves: [HashSet<u64>; 2]) -> Self {
        Book { halves, turned: None }
    }

    fn has(&self, key: u64) -> bool {
        self.halves.iter().any(|half| half.contains(&key))
    }

    fn bytes(&self) -> usize {
        self.halves.iter().map(HashSet::len).sum::<usize>() * DECIDED
    }

    /// Forgets what is older than `time`, at twice that age at the latest; and earlier what takes
    /// more than `max` bytes.
    fn forget(&mut self, now: Instant, time: Duration, max: usize) {
        let turned = *self.turned.get_or_insert(now);
        if now.saturating_duration_since(turned) > time || self.bytes() > max {
            self.turned = Some(now);
            self.halves.swap(0, 1);
            self.halves[1] = HashSet::new();
        }
    }
}

/// A span in a book; a whole trace, if it is none.
fn key(trace_id: TraceId, span_id: SpanId) -> u64 {
    let trace = u128::from_be_bytes(trace_id.to_bytes());
    let folded = (trace ^ (trace >> 64)) as u64;
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from_be_bytes(span_id.to_bytes())
}

/// What comes of spans: kept, or dropped for a reason.
pub(super) trait Outlet {
    fn keep(&mut self, record: &mut Record);
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

/// The traces that are pending.
pub(super) struct Tail {
    policy: TailPolicy,
    traces: HashMap<TraceId, Trace>,
    /// When each began to wait, the oldest first.
    arrivals: VecDeque<(Instant, TraceId)>,
    /// Spans and sealed traces that were kept.
    kept: Book,
    /// Spans that were dropped.
    dropped: Book,
    /// Traces that were sealed and dropped.
    given_up: Book,
    /// Roots that ended in this round, and in the one before. A root is decided a round later: by
    /// then the spans that ended before it on other threads are here.
    roots: [Vec<Record>; 2],
    waiting: u64,
    /// What waits, without the books.
    bytes: usize,
    /// Empty between decisions.
    scratch: Vec<Record>,
}

impl Tail {
    pub(super) fn new(policy: TailPolicy) -> Self {
        let book = || Book::new(Default::default());
        Tail {
            policy,
            traces: HashMap::new(),
            arrivals: VecDeque::new(),
            kept: book(),
            dropped: book(),
            given_up: book(),
            roots: Default::default(),
            waiting: 0,
            bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// Spans that wait for their decision.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// The memory that all of it takes, about.
    fn bytes(&self) -> usize {
        self.bytes + self.kept.bytes() + self.dropped.bytes() + self.given_up.bytes()
    }

    /// What has been decided already about a span, going by its trace or its parent.
    fn known(&self, record: &Record) -> Option<bool> {
        let trace_id = record.trace_id;
        let fate = |span_id| {
            let key = key(trace_id, span_id);
            match () {
                () if self.kept.has(key) => Some(true),
                () if self.dropped.has(key) || self.given_up.has(key) => Some(false),
                () => None,
            }
        };
        fate(SpanId::INVALID).or_else(|| fate(record.live.local_parent()?))
    }

    /// A span has ended.
    pub(super) fn take(&mut self, record: Record, now: Instant, out: &mut impl Outlet) {
        self.waiting += 1;
        if let Some(kept) = self.known(&record) {
            // It outlived its root, and so did what waits for it.
            return self.settle(record, Some(kept), out);
        }
        let Some(parent) = record.live.local_parent() else {
            self.bytes += size(&record);
            return self.roots[0].push(record);
        };
        let trace_id = record.trace_id;
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            self.arrivals.push_back((now, trace_id));
            self.bytes += TRACE;
            Trace { since: now, waiting: HashMap::new(), before: None }
        });
        let children = trace.waiting.entry(parent).or_insert_with(|| {
            self.bytes += PARENT + size_of::<Record>();
            // Most have one, and growing makes room for four.
            Vec::with_capacity(1)
        });
        let room = children.capacity();
        self.bytes += size(&record) - size_of::<Record>();
        children.push(record);
        self.bytes += (children.capacity() - room) * size_of::<Record>();
    }

    /// A round of the collector is over: decides about the roots of the last one, about what is too
    /// old, and about the oldest where there is no more room. All of it at the end.
    pub(super) fn round(&mut self, now: Instant, last: bool, out: &mut impl Outlet) {
        for _ in 0..if last { 2 } else { 1 } {
            let mut due = std::mem::take(&mut self.roots[1]);
            for root in due.drain(..) {
                self.bytes = self.bytes.saturating_sub(size(&root));
                let known = self.known(&root);
                self.settle(root, known, out);
            }
            // Its memory serves the next round.
            self.roots[1] = due;
            self.roots.swap(0, 1);
        }
        let (age, books) = (self.policy.max_age, self.policy.max_bytes / BOOKS);
        self.kept.forget(now, age, books);
        self.dropped.forget(now, REMEMBERED, books);
        self.given_up.forget(now, age, books);
        while let Some(&(since, trace_id)) = self.arrivals.front() {
            let pending = self.traces.get(&trace_id).is_some_and(|trace| trace.since == since);
            let why = match () {
                () if !pending => None,
                () if last => Some(reason::NOT_KEPT),
                () if self.bytes() > self.policy.max_bytes => Some(reason::OVERFLOW),
                () if now.saturating_duration_since(since) > age => Some(reason::AGE),
                () => break,
            };
            self.arrivals.pop_front();
            if let Some(why) = why {
                self.seal(trace_id, why, out);
            }
        }
        // Behind a trace that is pending for long, those that are done pile up.
        if self.arrivals.len() > 2 * self.traces.len() + 1024 {
            let traces = &self.traces;
            self.arrivals.retain(|(since, id)| traces.get(id).is_some_and(|it| it.since == *since));
        }
        // After a burst.
        if self.traces.capacity() > 8 * self.traces.len() + 4096 {
            self.traces.shrink_to(2 * self.traces.len());
            self.arrivals.shrink_to(2 * self.traces.len());
        }
    }

    /// Settles the fate of a span and of all below it that has ended: as it is known, or as they
    /// themselves say.
    fn settle(&mut self, top: Record, known: Option<bool>, out: &mut impl Outlet) {
        let trace_id = top.trace_id;
        let mut all = std::mem::take(&mut self.scratch);
        all.push(top);
        let mut rest = self.traces.get_mut(&trace_id);
        if let Some(trace) = &mut rest {
            let mut next = 0;
            while let Some(above) = all.get(next)
                && !trace.waiting.is_empty()
            {
                if let Some(below) = trace.waiting.remove(&above.span_id) {
                    self.bytes = self.bytes.saturating_sub(size_of_children(&below));
                    all.extend(below);
                }
                next += 1;
            }
        }
        let why = match known {
            Some(_) => None,
            None => self.policy.why(trace_id, &all),
        };
        let kept = known.unwrap_or(why.is_some());
        match rest {
            Some(trace) if trace.waiting.is_empty() => {
                self.traces.remove(&trace_id);
                self.bytes = self.bytes.saturating_sub(TRACE);
            }
            Some(trace) => trace.before = trace.before.max(Some(kept)),
            None => {}
        }
        if let Some((top, why)) = all.first_mut().zip(why) {
            top.live.set(KeyValue::new("redspan.kept", why));
        }
        // In a sealed trace nobody asks for a span.
        let trace = key(trace_id, SpanId::INVALID);
        let sealed = known.is_some() && (self.kept.has(trace) || self.given_up.has(trace));
        let book = if kept { &mut self.kept } else { &mut self.dropped };
        self.waiting = self.waiting.saturating_sub(all.len() as u64);
        for mut record in all.drain(..) {
            if !sealed {
                book.halves[1].insert(key(trace_id, record.span_id));
            }
            if kept { out.keep(&mut record) } else { out.drop(reason::NOT_KEPT) }
        }
        all.shrink_to(1024);
        self.scratch = all;
    }

    /// Settles what waits of a trace whose root is still running, or was lost, and all that follows.
    fn seal(&mut self, trace_id: TraceId, unless: &'static str, out: &mut impl Outlet) {
        let Some(trace) = self.traces.remove(&trace_id) else { return };
        self.bytes = self.bytes.saturating_sub(TRACE);
        let mut all = Vec::new();
        for below in trace.waiting.into_values() {
            self.bytes = self.bytes.saturating_sub(size_of_children(&below));
            all.extend(below);
        }
        self.waiting = self.waiting.saturating_sub(all.len() as u64);
        // What was decided before holds: part of it is with the exporter already.
        let kept = trace.before.unwrap_or_else(|| self.policy.why(trace_id, &all).is_some());
        let book = if kept { &mut self.kept } else { &mut self.given_up };
        book.halves[1].insert(key(trace_id, SpanId::INVALID));
        for mut record in all {
            if kept { out.keep(&mut record) } else { out.drop(unless) }
        }
    }
}

fn gravity(why: &str) -> usize {
    ["panic", "error", "cancelled", "slow"].iter().position(|&word| word == why).unwrap_or(9)
}

/// The memory of a parent's children, about.
fn size_of_children(children: &Vec<Record>) -> usize {
    let unused = children.capacity() - children.len();
    PARENT + unused * size_of::<Record>() + children.iter().map(size).sum::<usize>()
}

#[cfg(test)]
mod tests;
