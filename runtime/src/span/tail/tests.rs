use super::*;
use crate::clock;
use crate::span::record::{End, Live};
use opentelemetry::trace::Link;
use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags, TraceState};

fn span(trace: u128, id: u64, parent: u64, outcome: Outcome) -> Record {
    let tick = clock::now();
    let live = Live {
        parent: SpanId::from(parent),
        parent_is_remote: false,
        kind: SpanKind::Internal,
        start: tick,
        site: None,
        attributes: Vec::new(),
        extra: None,
        is_over: true,
    };
    Record {
        trace_id: TraceId::from(trace),
        span_id: SpanId::from(id),
        live,
        end: End {
            tick,
            outcome: Some(outcome),
            place: Default::default(),
            flags: TraceFlags::SAMPLED,
        },
    }
}

#[derive(Default)]
struct Out {
    kept: Vec<u64>,
    dropped: HashMap<&'static str, u64>,
}

impl Outlet for Out {
    fn keep(&mut self, record: &mut Record) {
        self.kept.push(u64::from_be_bytes(record.span_id.to_bytes()));
    }

    fn drop(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}

/// Two rounds: a root is decided in the one after its own.
fn rounds(tail: &mut Tail, now: Instant, out: &mut Out) {
    tail.round(now, false, out);
    tail.round(now, false, out);
}

#[test]
fn a_span_that_comes_later_than_its_root_is_still_decided_with_it() {
    let (mut tail, mut out, now) = (Tail::new(policy()), Out::default(), Instant::now());
    tail.take(span(1, 1, 0, Outcome::Ok), now, &mut out);
    tail.round(now, false, &mut out);
    // It ended before the root, on a thread whose buffer had been emptied already.
    tail.take(span(1, 2, 1, Outcome::Error), now, &mut out);
    tail.round(now, false, &mut out);
    out.kept.sort();
    assert_eq!(out.kept, [1, 2]);
    assert_eq!(tail.waiting(), 0);
}

#[test]
fn a_span_of_which_somebody_says_when_it_was_is_as_slow_as_that() {
    let slow = || policy().slower_than(Duration::from_secs(1));
    let (mut tail, mut out, now) = (Tail::new(slow()), Out::default(), Instant::now());
    let wall = std::time::SystemTime::now();
    let ago = |seconds| Some(wall - Duration::from_secs(seconds));
    for (trace, [started_at, ended_at]) in
        (1..).zip([[ago(5), ago(0)], [ago(5), ago(4)], [ago(5), None], [None, ago(5)]])
    {
        let mut span = span(trace, trace as u64, 0, Outcome::Ok);
        let extra = span.live.extra();
        (extra.started_at, extra.ended_at) = (started_at, ended_at);
        tail.take(span, now, &mut out);
    }
    rounds(&mut tail, now, &mut out);
    assert_eq!(out.kept, [1, 3]);
}

#[test]
fn what_outlives_its_root_follows_its_decision() {
    let (mut tail, mut out, now) = (Tail::new(policy()), Out::default(), Instant::now());
    // Kept, with a child (5) that is still running and a grandchild (6) that has ended.
    tail.take(span(1, 6, 5, Outcome::Ok), now, &mut out);
    tail.take(span(1, 2, 1, Outcome::Error), now, &mut out);
    tail.take(span(1, 1, 0, Outcome::Ok), now, &mut out);
    // Dropped.
    tail.take(span(2, 11, 0, Outcome::Ok), now, &mut out);
    rounds(&mut tail, now, &mut out);
    assert_eq!((out.kept.len(), tail.waiting()), (2, 1), "the grandchild's parent is not here");
    tail.take(span(1, 5, 1, Outcome::Ok), now, &mut out);
    tail.take(span(2, 12, 11, Outcome::Error), now, &mut out);
    out.kept.sort();
    assert_eq!(out.kept, [1, 2, 5, 6]);
    assert_eq!(out.dropped, HashMap::from([(reason::NOT_KEPT, 2)]), "a part would be an orphan");
    assert_eq!(tail.waiting(), 0);
}

#[test]
fn two_local_roots_of_one_trace_are_two_local_traces() {
    let (mut tail, mut out, now) = (Tail::new(policy()), Out::default(), Instant::now());
    let mut inner = span(1, 3, 2, Outcome::Ok);
    inner.live.parent_is_remote = true;
    tail.take(inner, now, &mut out);
    rounds(&mut tail, now, &mut out);
    tail.take(span(1, 2, 1, Outcome::Error), now, &mut out);
    tail.take(span(1, 1, 0, Outcome::Error), now, &mut out);
    rounds(&mut tail, now, &mut out);
    out.kept.sort();
    assert_eq!(out.kept, [1, 2]);
    assert_eq!(out.dropped, HashMap::from([(reason::NOT_KEPT, 1)]));
}

#[test]
fn traces_that_never_end_stay_within_the_memory_they_may_hold() {
    const MAX: usize = 1 << 20;
    let (mut tail, mut out) = (Tail::new(policy().max_bytes(MAX)), Out::default());
    let start = Instant::now();
    let mut given = 0;
    for round in 0..200_u64 {
        let now = start + Duration::from_millis(round * 100);
        for n in 0..1_000 {
            // Every hundredth holds an error; no root ever ends.
            let trace = u128::from(round * 1_000 + n + 1);
            let outcome = if n % 100 == 0 { Outcome::Error } else { Outcome::Ok };
            tail.take(span(trace, trace as u64, 999_999_999, outcome), now, &mut out);
            given += 1;
        }
        tail.round(now, false, &mut out);
        assert!(tail.bytes() <= MAX, "{}", tail.bytes());
        let books = tail.traces.len() + tail.arrivals.len();
        assert!(books < 100_000, "{books}");
    }
    tail.round(start + Duration::from_secs(100), true, &mut out);
    let dropped: u64 = out.dropped.values().sum();
    assert_eq!(out.kept.len() as u64 + dropped, given);
    assert_eq!(out.kept.len() as u64, given / 100, "decided early, by what was known");
    assert!(out.dropped[reason::OVERFLOW] > 100_000, "{:?}", out.dropped);
    assert_eq!(tail.waiting(), 0);
}

#[test]
fn a_trace_that_is_too_old_is_decided_and_what_follows_agrees() {
    let limits = policy().max_age(Duration::from_secs(10));
    let (mut tail, mut out, now) = (Tail::new(limits), Out::default(), Instant::now());
    tail.take(span(1, 2, 1, Outcome::Error), now, &mut out);
    tail.take(span(2, 12, 11, Outcome::Ok), now, &mut out);
    rounds(&mut tail, now + Duration::from_secs(9), &mut out);
    assert_eq!(tail.waiting(), 2);
    let late = now + Duration::from_secs(11);
    rounds(&mut tail, late, &mut out);
    tail.take(span(1, 1, 0, Outcome::Ok), late, &mut out);
    tail.take(span(2, 11, 0, Outcome::Error), late, &mut out);
    rounds(&mut tail, late, &mut out);
    assert_eq!(out.kept, [2, 1]);
    assert_eq!(out.dropped, HashMap::from([(reason::AGE, 1), (reason::NOT_KEPT, 1)]));
}

#[test]
fn done_traces_leave_nothing_behind() {
    let (mut tail, mut out, start) = (Tail::new(policy()), Out::default(), Instant::now());
    // One that is pending all the while.
    tail.take(span(9_999_999, 2, 1, Outcome::Ok), start, &mut out);
    for round in 0..400_u64 {
        let now = start + Duration::from_millis(round * 100);
        for n in 0..200 {
            let trace = u128::from(round * 200 + n + 1);
            tail.take(span(trace, 2, 1, Outcome::Ok), now, &mut out);
            tail.take(span(trace, 1, 0, Outcome::Ok), now, &mut out);
        }
        tail.round(now, false, &mut out);
    }
    assert_eq!(tail.waiting(), 1 + 400, "the last round's roots are not decided yet");
    assert!(tail.traces.len() < 200 * 25, "{}", tail.traces.len());
    assert!(tail.arrivals.len() < 20_000, "{}", tail.arrivals.len());
}

#[test]
fn spans_below_a_decided_root_are_not_forgotten_by_the_limits() {
    let limits = policy().max_age(Duration::from_secs(10));
    let (mut tail, mut out, start) = (Tail::new(limits), Out::default(), Instant::now());
    // Nothing of the trace waits after this, and then something does: its parent (5) still runs.
    tail.take(span(1, 1, 0, Outcome::Ok), start, &mut out);
    rounds(&mut tail, start, &mut out);
    tail.take(span(1, 6, 5, Outcome::Ok), start + Duration::from_secs(1), &mut out);
    tail.round(start + Duration::from_secs(20), false, &mut out);
    assert_eq!(tail.waiting(), 0, "it is decided for its age");
    tail.take(span(1, 8, 7, Outcome::Ok), start + Duration::from_secs(50), &mut out);
    tail.round(start + Duration::from_secs(51), true, &mut out);
    assert_eq!(tail.waiting(), 0, "and at the end");
    assert_eq!(out.dropped.values().sum::<u64>(), 3);
}

#[test]
fn nothing_is_left_of_a_trace_whose_last_span_came_late() {
    let (mut tail, mut out, start) = (Tail::new(policy()), Out::default(), Instant::now());
    for trace in 1..=1_000 {
        tail.take(span(trace, 6, 5, Outcome::Ok), start, &mut out);
        tail.take(span(trace, 1, 0, Outcome::Error), start, &mut out);
    }
    rounds(&mut tail, start, &mut out);
    // Longer than a decision to drop is remembered.
    let later = start + Duration::from_secs(10);
    rounds(&mut tail, later, &mut out);
    for trace in 1..=1_000 {
        tail.take(span(trace, 5, 1, Outcome::Ok), later, &mut out);
    }
    rounds(&mut tail, later, &mut out);
    assert_eq!((out.kept.len(), tail.waiting()), (3_000, 0), "with the root, which was kept");
    for minutes in 1..5 {
        tail.round(start + Duration::from_secs(90 * minutes), false, &mut out);
    }
    assert_eq!((tail.traces.len(), tail.arrivals.len(), tail.bytes()), (0, 0, 0));
}

/// Were each of them to look through all that waits, it would take hours.
#[test]
fn what_ends_costs_the_same_however_much_waits() {
    const WAITING: u64 = 100_000;
    let limits = policy().max_bytes(1 << 30);
    let (mut tail, mut out, now) = (Tail::new(limits), Out::default(), Instant::now());
    for n in 0..WAITING {
        // Each below a span of its own that is still running below the root (1).
        tail.take(span(1, 1_000_000 + n, 2_000_000 + n, Outcome::Ok), now, &mut out);
    }
    // The root ends, then the others one by one; meanwhile other local roots of the same trace.
    tail.take(span(1, 1, 0, Outcome::Error), now, &mut out);
    rounds(&mut tail, now, &mut out);
    for n in 0..WAITING {
        tail.take(span(1, 3_000_000 + n, 0, Outcome::Ok), now, &mut out);
        tail.take(span(1, 2_000_000 + n, 1, Outcome::Ok), now, &mut out);
        if n % 1_000 == 0 {
            tail.round(now, false, &mut out);
        }
    }
    rounds(&mut tail, now, &mut out);
    assert_eq!(out.kept.len() as u64, 2 * WAITING + 1);
    assert_eq!(out.dropped[reason::NOT_KEPT], WAITING);
    assert_eq!((tail.waiting(), tail.bytes), (0, 0));
}

#[test]
fn a_sealed_trace_takes_no_more_memory_however_many_follow() {
    const MAX: usize = 1 << 20;
    let (mut tail, mut out) = (Tail::new(policy().max_bytes(MAX)), Out::default());
    let start = Instant::now();
    // One root that never ends, and its children do.
    for n in 0..200_000 {
        let now = start + Duration::from_micros(n * 100);
        tail.take(span(1, n + 2, 1, Outcome::Ok), now, &mut out);
        if n % 1_000 == 0 {
            tail.round(now, false, &mut out);
            assert!(tail.bytes() <= MAX, "{}", tail.bytes());
        }
    }
    assert_eq!(tail.waiting(), 0, "all follow the first");
    assert_eq!(out.dropped.values().sum::<u64>(), 200_000);
    assert!(tail.bytes() < 1_000, "{}", tail.bytes());
}

/// A caller chooses its tracestate: what is not counted would have no bound.
#[test]
fn the_state_that_callers_send_is_counted() {
    let state = || {
        let members = (0..32).map(|n| (format!("k{n}"), "v".repeat(256)));
        TraceState::from_key_value(members).unwrap()
    };
    let linked = || {
        let id = SpanId::from(7);
        SpanContext::new(TraceId::from(7), id, TraceFlags::SAMPLED, true, state())
    };
    let bytes = |change: &dyn Fn(&mut Record)| {
        let mut span = span(1, 2, 1, Outcome::Ok);
        change(&mut span);
        size(&span)
    };
    let plain = bytes(&|span| _ = span.live.extra());
    let stated = bytes(&|span| span.live.extra().stated = Some(linked()));
    assert!(stated > plain + 32 * 256, "{stated} {plain}");
    let links = bytes(&|span| span.live.extra().links = vec![Link::with_context(linked()); 10]);
    assert!(links > plain + 10 * 32 * 256, "{links} {plain}");
}
