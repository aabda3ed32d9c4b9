//! Exemplar candidates of user metrics, on their way to the span they were measured in.
//!
//! A value must not become an exemplar before its span was handed to an exporter, so it travels
//! with the span's record. The span's room lies above this one and cannot be named here; the
//! candidate therefore waits in a mailbox of this thread while we ring the current span:
//! `set_status(Unset)` is a no-op by OpenTelemetry's specification, and our own span takes the
//! candidate out of the mailbox when it hears it.
//!
//! A slot keeps one exemplar a millisecond, so under load nearly all candidates would be carried for nothing.
//! Where every sampled span is exported, one is as good as another: a value for whose counter or bucket a span took
//! one along less than a millisecond ago becomes none. Only what a span has taken along counts, or one that has
//! ended, and takes nothing, would hide those that are exported. If that span is lost, the next millisecond brings
//! another. Under a tail policy all are carried: a trace that is dropped must not hide one that is kept.

use crate::clock::{self, Last, Tick, Wall};
use crate::context::{current, pending, scope};
use crate::exemplar::Exemplar;
use crate::metrics::histogram::Histogram;
use crate::metrics::series::Counter;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, SpanRef, Status, TraceContextExt, TraceId};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

static ENABLED: AtomicBool = AtomicBool::new(false);
static TO_OTHERS: OnceLock<fn(&SpanContext, Candidate)> = OnceLock::new();

/// How many one span may carry: more are not gathered before the bell is rung.
pub(crate) const MOST: usize = 8;

/// Where a value goes that becomes a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "tower", feature = "sqlx")),
    allow(dead_code, reason = "integrations choose it")
)]
enum Way {
    /// To the current span, which is rung.
    Rings,
    /// To the mailbox: the span is rung once for several.
    Gathers,
    /// To [`LAST`]: the span ends next.
    Waits,
    Nowhere,
}

/// The way is another one while it lives.
struct Instead(Way);

impl Instead {
    fn of(way: Way) -> Self {
        Instead(WAY.replace(way))
    }
}

impl Drop for Instead {
    fn drop(&mut self) {
        WAY.set(self.0);
    }
}

/// A place for a candidate. Without a destructor, so that it is there to the thread's last call.
struct Letter(Cell<ManuallyDrop<Option<Candidate>>>);

impl Letter {
    const fn none() -> Self {
        Letter(Cell::new(ManuallyDrop::new(None)))
    }

    fn exchange(&self, other: Option<Candidate>) -> Option<Candidate> {
        ManuallyDrop::into_inner(self.0.replace(ManuallyDrop::new(other)))
    }
}

thread_local! {
    /// One, or those that were gathered.
    static MAILBOX: [Letter; MOST] = const { [const { Letter::none() }; MOST] };
    /// How many are in it: most that look there find none.
    static WAITING: Cell<usize> = const { Cell::new(0) };
    static WAY: Cell<Way> = const { Cell::new(Way::Rings) };
    /// What was measured at a span's end.
    static LAST: Letter = const { Letter::none() };
    /// The span of ours that was asked last whether it records, unless it was seen unlocked since.
    static ASKED: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// Lets values become candidates: from now on spans are exported that can carry them.
pub(crate) fn enable() {
    ENABLED.store(true, Relaxed);
}

/// Where candidates go whose span is not ours: from now on somebody says when such spans are exported.
pub(crate) fn to_others(others: fn(&SpanContext, Candidate)) {
    let _ = TO_OTHERS.set(others);
}

/// Whether a value is in vain that is measured now, since a span took another one along just before.
#[inline]
pub(crate) fn is_one_too_many(last: &Last, now: Tick) -> bool {
    last.is_just_before(now) && one_will_do()
}

/// Whether each span that takes a candidate along is exported, unless it is lost. Testing scopes keep all they see.
#[inline]
fn one_will_do() -> bool {
    !pending::any() && !scope::any_open()
}

/// The series a candidate belongs to.
#[derive(Clone)]
pub(crate) enum Candidates {
    Counter(Arc<Counter>),
    /// And the slot in it.
    Histogram(Arc<Histogram>, u32),
}

/// A measured value that becomes an exemplar if the span it was measured in is exported.
pub(crate) struct Candidate {
    series: Candidates,
    value: f64,
    time: Tick,
}

impl Candidate {
    /// A span takes it along: no other is needed for a while.
    pub(crate) fn taken(&self) {
        if one_will_do() {
            match &self.series {
                Candidates::Counter(series) => series.taken(self.time),
                Candidates::Histogram(series, at) => series.taken(*at as usize, self.time),
            }
        }
    }

    /// The span was handed over: the value becomes its series' exemplar.
    pub(crate) fn publish(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        to_wall: impl Fn(Tick) -> Wall,
    ) {
        let Candidate { ref series, value, time } = *self;
        let time = to_wall(time);
        let exemplar = || Exemplar { trace_id, span_id, value, time: time.into() };
        match series {
            Candidates::Counter(series) => series.publish(time, exemplar),
            Candidates::Histogram(series, at) => series.publish(*at as usize, time, exemplar),
        }
    }
}

/// Gives a value that was just recorded to the current span, if that is sampled.
///
/// `series` is asked for only then, with the time.
#[inline]
pub(crate) fn offer(value: f64, series: impl FnOnce(Tick) -> Option<Candidates>) {
    if ENABLED.load(Relaxed) {
        ring(value, series);
    }
}

fn ring(value: f64, series: impl FnOnce(Tick) -> Option<Candidates>) {
    let candidate = || {
        let time = clock::now();
        Some(Candidate { series: series(time)?, value, time })
    };
    match WAY.get() {
        Way::Rings => {
            current::with(|cx| {
                if records(cx)
                    && let Some(candidate) = candidate()
                {
                    put(candidate);
                    deliver(cx);
                }
            });
        }
        Way::Gathers => candidate().into_iter().for_each(put),
        Way::Waits => {
            if let Some(candidate) = candidate() {
                LAST.with(|last| last.exchange(Some(candidate)));
            }
        }
        Way::Nowhere => {}
    }
}

/// Whether the current span may want candidates.
fn records(cx: &Context) -> bool {
    // `has_active_span` first: without a span, `span()` would still say "not sampled", but most
    // increments of a program happen outside of any.
    cx.has_active_span() && cx.span().span_context().is_sampled()
}

/// A span of ours was asked whether it records; returns the one before.
#[inline]
pub(crate) fn asked(span: Option<SpanId>) -> Option<SpanId> {
    ASKED.replace(span)
}

/// A span of ours is written to: if it is the one that was asked, that was all (OpenTelemetry's `set_attributes` asks
/// first), and nobody need look whether it is locked.
#[inline]
pub(crate) fn written(span: SpanId) {
    if ASKED.get() == Some(span) {
        ASKED.set(None);
    }
}

/// Whether this thread may be in the middle of rendering an error for the span, which OpenTelemetry does under the
/// span's lock, after it has asked.
#[inline]
pub(crate) fn may_be_locked(span: &SpanRef<'_>) -> bool {
    ASKED.get().is_some_and(|asked| asked == span.span_context().span_id()) && is_locked(span)
}

#[cold]
fn is_locked(span: &SpanRef<'_>) -> bool {
    // What a mutex says of itself is the one way to ask without waiting. `inner` comes last, behind all that
    // others have written: none of bare ids, and the span itself if nobody has it locked.
    let shown = format!("{span:?}");
    let is_free = |inner: &str| inner.starts_with("None") || inner.contains("BoxedSpan");
    let locked = !shown.rsplit("inner: ").next().is_some_and(is_free);
    if !locked {
        ASKED.set(None);
    }
    locked
}

/// Rings the span that is current.
fn deliver(cx: &Context) {
    if may_be_locked(&cx.span()) {
        while take().is_some() {}
        return;
    }
    cx.span().set_status(Status::Unset);
    // Nobody heard the bell: the span is another implementation's.
    while let Some(unheard) = take() {
        if let Some(others) = TO_OTHERS.get() {
            others(cx.span().span_context(), unheard);
        }
    }
}

/// Puts it into the mailbox, if there is room.
fn put(candidate: Candidate) {
    let waiting = WAITING.get();
    MAILBOX.with(|mailbox| {
        if let Some(free) = mailbox.get(waiting) {
            free.exchange(Some(candidate));
            WAITING.set(waiting + 1);
        }
    });
}

/// What waits in this thread's mailbox: for our span, which asks for all when it hears
/// `set_status(Unset)`.
#[inline]
pub(crate) fn take() -> Option<Candidate> {
    let last = WAITING.get().checked_sub(1)?;
    WAITING.set(last);
    MAILBOX.with(|mailbox| mailbox.get(last)?.exchange(None))
}

/// Runs `f`, which records several values in the current span, and rings that span once.
#[cfg(any(test, feature = "tower"))]
pub(crate) fn together<T>(f: impl FnOnce() -> T) -> T {
    struct Emptied;
    impl Drop for Emptied {
        fn drop(&mut self) {
            // After a panic: they are no other span's.
            while take().is_some() {}
        }
    }
    if !ENABLED.load(Relaxed) || WAY.get() == Way::Nowhere {
        return f();
    }
    if !current::with(records).unwrap_or(false) {
        return muted(f);
    }
    let _emptied = Emptied;
    let _instead = Instead::of(Way::Gathers);
    let value = f();
    if WAITING.get() > 0 {
        current::with(deliver);
    }
    value
}

/// Runs `f`, which records one value in the current span. If that is `ours` and ends next, nobody rings: its end
/// takes the value along ([`last`]).
#[cfg(any(test, feature = "sqlx"))]
pub(crate) fn at_the_end<T>(ours: bool, f: impl FnOnce() -> T) -> T {
    if !ours || WAY.get() != Way::Rings {
        return f();
    }
    // One whose span could not be reached.
    drop(last());
    let _instead = Instead::of(Way::Waits);
    f()
}

/// What [`at_the_end`] left: for the end of that span.
pub(crate) fn last() -> Option<Candidate> {
    LAST.with(|last| last.exchange(None))
}

/// Runs `f` without ringing the span.
///
/// A span runs user code under OpenTelemetry's own lock (an error's `Display` in `record_error`);
/// if that code counted something, the bell would wait for the lock that this thread holds.
pub(crate) fn muted<T>(f: impl FnOnce() -> T) -> T {
    let _instead = Instead::of(Way::Nowhere);
    f()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Number;
    use crate::metrics::store::Store;
    use metrics::{CounterFn, HistogramFn, Key};
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Span, TraceFlags, TraceState};
    use std::borrow::Cow;
    use std::cell::RefCell;
    use std::sync::Mutex;
    use std::time::SystemTime;

    struct Ours(SpanContext, Arc<Mutex<Vec<Candidate>>>);

    impl Span for Ours {
        fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
            &mut self,
            _: T,
            _: SystemTime,
            _: Vec<KeyValue>,
        ) {
        }
        fn span_context(&self) -> &SpanContext {
            &self.0
        }
        fn is_recording(&self) -> bool {
            true
        }
        fn set_attribute(&mut self, _: KeyValue) {}
        fn set_status(&mut self, status: Status) {
            if status == Status::Unset {
                self.1.lock().unwrap().extend(std::iter::from_fn(take));
            }
        }
        fn update_name<T: Into<Cow<'static, str>>>(&mut self, _: T) {}
        fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}
        fn end_with_timestamp(&mut self, _: SystemTime) {}
    }

    fn ids(sampled: bool) -> SpanContext {
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        SpanContext::new(
            TraceId::from_bytes([1; 16]),
            SpanId::from_bytes([2; 8]),
            flags,
            false,
            TraceState::NONE,
        )
    }

    fn heard(sampled: bool, f: impl FnOnce()) -> Vec<Candidate> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let attached = Context::current_with_span(Ours(ids(sampled), heard.clone())).attach();
        f();
        drop(attached);
        assert!(take().is_none(), "the mailbox is left empty");
        std::mem::take(&mut *heard.lock().unwrap())
    }

    #[test]
    fn what_is_recorded_together_comes_with_one_ring_and_a_panic_leaves_nothing() {
        enable();
        let store = Store::scoped();
        let counter = store.counter(&Key::from_name("c")).unwrap();
        let histogram = store.histogram(&Key::from_name("h")).unwrap();
        let both = || {
            CounterFn::increment(&*counter, 3);
            HistogramFn::record(&*histogram, 0.2);
        };
        assert_eq!(heard(true, || together(both)).len(), 2);
        assert_eq!(heard(false, || together(both)).len(), 0);
        let after = heard(true, || {
            let torn = || {
                together(|| {
                    both();
                    panic!("torn");
                })
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(torn)).is_err());
            CounterFn::increment(&*counter, 1);
        });
        assert_eq!(after.len(), 1);
    }

    #[test]
    fn a_sampled_span_gets_what_is_recorded_in_it_and_publishing_shows_it() {
        enable();
        let store = Store::scoped();
        let counter = store.counter(&Key::from_name("c")).unwrap();
        let histogram = store.histogram(&Key::from_name("h")).unwrap();
        let candidates = heard(true, || {
            CounterFn::increment(&*counter, 3);
            CounterFn::increment(&*counter, 0);
            HistogramFn::record(&*histogram, 0.2);
            muted(|| CounterFn::increment(&*counter, 1));
        });
        assert_eq!(
            candidates.len(),
            2,
            "adding nothing is no example, and nobody rings when muted"
        );
        assert!(counter.exemplar().is_none(), "not before the span is handed over");
        for candidate in candidates {
            candidate.publish(ids(true).trace_id(), ids(true).span_id(), |_| Wall(0));
        }
        assert_eq!(counter.exemplar().unwrap().value, 3.0);
        let shown: Vec<_> = histogram.exemplars().iter().filter_map(|slot| slot.get()).collect();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].value, shown[0].trace_id), (0.2, ids(true).trace_id()));
    }

    #[test]
    fn what_is_recorded_at_an_end_waits_for_it_and_rings_nobody() {
        enable();
        let histogram = Store::scoped().histogram(&Key::from_name("h")).unwrap();
        let record = || HistogramFn::record(&*histogram, 0.2);
        assert!(heard(true, || at_the_end(true, record)).is_empty());
        assert!(last().is_some() && last().is_none());
        assert_eq!(heard(true, || at_the_end(false, record)).len(), 1, "a stranger's is rung");
        muted(|| at_the_end(true, record));
        assert!(last().is_none());
    }

    #[test]
    fn nothing_is_offered_without_a_sampled_span() {
        enable();
        let counter = Store::scoped().counter(&Key::from_name("c")).unwrap();
        assert!(heard(false, || CounterFn::increment(&*counter, 1)).is_empty());
        CounterFn::increment(&*counter, 1);
        assert!(take().is_none());
        // A bare span context hears nothing, and leaves nothing behind.
        let _bare = Context::new().with_remote_span_context(ids(true)).attach();
        CounterFn::increment(&*counter, 1);
        assert!(take().is_none());
        assert_eq!(counter.value(), Number::Whole(3));
    }

    #[test]
    fn counting_while_the_thread_ends_is_harmless() {
        struct Late(Arc<Counter>);
        impl Drop for Late {
            fn drop(&mut self) {
                CounterFn::increment(&*self.0, 1);
            }
        }
        thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
        enable();
        let counter = Store::scoped().counter(&Key::from_name("c")).unwrap();
        let (early, inside) = (counter.clone(), counter.clone());
        std::thread::spawn(move || {
            // First in, so last out: after the thread's context.
            LATE.with(|late| *late.borrow_mut() = Some(Late(early)));
            CounterFn::increment(&*inside, 1);
        })
        .join()
        .unwrap();
        assert_eq!(counter.value(), Number::Whole(2));
    }
}
