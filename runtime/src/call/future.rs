//! A call whose body is a future, or a stream.

use super::classify::Verdict;
use super::guard::{self, Started};
use super::prepared::Prepared;
use super::running::{Here, Running};
use crate::callsite::CallSite;
use crate::clock::Tick;
use crate::outcome::Outcome;
use crate::span::lent::Returned;
use futures_core::Stream;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};

/// Measures a future or a stream: current around each poll, ended by what it returns, by a panic, or by being
/// dropped before it is ready. A future that is never polled is no call.
///
/// What it does is done by functions that are no generics: a thousand functions share them.
#[must_use = "futures do nothing unless polled"]
pub struct Driven<F, C> {
    slot: Held,
    of: Body<F, C>,
}

/// What is the function's own. Apart, since it is borrowed beside the slot.
struct Body<F, C> {
    // Dropped by hand, while the call is current.
    future: ManuallyDrop<F>,
    judge: C,
}

// A bare future's unwind safety must not depend on ours; we hold no broken state. Whatever needs to be
// dropped is taken out by `Polling`.
type Held = AssertUnwindSafe<ManuallyDrop<Slot>>;

fn held(slot: Slot) -> Held {
    AssertUnwindSafe(ManuallyDrop::new(slot))
}

fn idle(site: &'static CallSite) -> Held {
    held(Slot::Idle(site))
}

fn prepared(site: &'static CallSite, prepared: Option<Box<Prepared>>) -> Held {
    prepared.map_or_else(|| idle(site), |prepared| held(Slot::Prepared(prepared)))
}

fn handed() -> Held {
    held(Slot::Handed)
}

/// Where a call is that begins with the first poll.
pub(super) enum Slot {
    /// Not begun; begun by us.
    Idle(&'static CallSite),
    /// The same, with what it begins with.
    Prepared(Box<Prepared>),
    /// Not begun; its body begins it ([`hand_over`]), since that has what is recorded.
    Handed,
    Begun(Running),
    Over,
}

// The bodies come wrapped, and so nothing in here has to be dropped should it unwind: of all that is
// generic these are the functions that are written most often.

/// Drives `body` as a call of `site`.
#[inline]
pub fn drive_at<F, C>(site: &'static CallSite, body: ManuallyDrop<F>, judge: C) -> Driven<F, C>
where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_> + Copy,
{
    Driven { slot: idle(site), of: Body { future: body, judge } }
}

/// [`drive_at`] of a call that begins with what was prepared.
#[inline]
pub fn drive_prepared<F, C>(
    site: &'static CallSite,
    begins: Option<Box<Prepared>>,
    body: ManuallyDrop<F>,
    judge: C,
) -> Driven<F, C>
where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_> + Copy,
{
    Driven { slot: prepared(site, begins), of: Body { future: body, judge } }
}

/// Drives `body`, which first of all hands over the call that it begins.
#[inline]
pub fn drive_handed<F, C>(body: ManuallyDrop<F>, judge: C) -> Driven<F, C>
where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_> + Copy,
{
    Driven { slot: handed(), of: Body { future: body, judge } }
}

/// A future whose value has the type that is named.
#[inline]
pub fn gives<T, F: Future<Output = T>>(body: F) -> F {
    body
}

/// A stream whose items have the type that is named.
#[inline]
pub fn items<T, S: Stream<Item = T>>(body: S) -> S {
    body
}

/// Drives a stream as a call of `site`, from its first poll to its end. It is an error if an item
/// is one.
#[inline]
pub fn drive_stream<S, C>(
    site: &'static CallSite,
    begins: Option<Box<Prepared>>,
    body: ManuallyDrop<S>,
    judge: C,
) -> Driven<S, C>
where
    S: Stream,
    C: Fn(&S::Item) -> Verdict<'_>,
{
    Driven { slot: prepared(site, begins), of: Body { future: body, judge } }
}

/// Drives `body` as the call `started`.
#[inline]
pub fn drive<F, C>(started: Started, body: F, judge: C) -> Driven<F, C>
where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_>,
{
    let mut running = started.into_running();
    running.may_be_cancelled();
    let future = ManuallyDrop::new(body);
    Driven { slot: held(Slot::Begun(running)), of: Body { future, judge } }
}

thread_local! {
    /// The poll that waits for its body to hand over the call: only between the beginning of a
    /// body's first poll and its first statement.
    static WAITING: Cell<*mut Polling<'static>> = const { Cell::new(ptr::null_mut()) };
}

/// The first statement of a body given to [`drive_handed`]: from here on the call is current.
pub fn hand_over(started: Started) {
    let waiting = WAITING.replace(ptr::null_mut());
    // SAFETY: set by `Polling::begin`, and unset before that `Polling` is touched again or ends. No
    // other code has run in between, since this is what the body does first.
    if let Some(polling) = unsafe { waiting.as_mut() } {
        polling.take(started);
    }
}

/// The call is current while this lives; unless told otherwise, dropping it ends the call.
struct Polling<'a> {
    slot: &'a mut Slot,
    began: Option<Tick>,
    // Detached however the poll ends: there is nothing left to drop, which is three calls to find out.
    here: ManuallyDrop<Here>,
    if_dropped: Option<Outcome>,
    /// Where the value is written to, and whether it was.
    room: Option<(Drops, *mut ())>,
    full: bool,
}

impl<'a> Polling<'a> {
    fn new(held: &'a mut Held) -> Self {
        Polling {
            slot: held,
            began: None,
            here: ManuallyDrop::new(Here::default()),
            if_dropped: None,
            room: None,
            full: false,
        }
    }

    /// A poll begins. Leaving it in any other way than by the two below is a panic.
    #[inline(never)]
    fn begin(&mut self) {
        self.if_dropped = Some(Outcome::Panic);
        match *self.slot {
            Slot::Idle(site) if Running::is_plain(site) => {
                // Where it stays: it would be copied right after it was written, and waited for.
                self.replace(Slot::Begun(Running::new(site)));
                if let Slot::Begun(running) = self.slot {
                    running.may_be_cancelled();
                    if running.begin_plain() {
                        self.first();
                    }
                }
            }
            Slot::Begun(ref mut running) => {
                self.began = running.poll_begins();
                running.attach(&mut self.here);
            }
            _ => self.begin_apart(),
        }
    }

    #[inline(never)]
    fn begin_apart(&mut self) {
        match *self.slot {
            Slot::Idle(site) => self.take(guard::begin(site)),
            Slot::Prepared(ref prepared) => {
                let started = prepared.begin();
                self.take(started);
            }
            Slot::Handed => WAITING.set(ptr::from_mut(self).cast()),
            Slot::Begun(_) | Slot::Over => {}
        }
    }

    /// What was there holds nothing: to find that out would cost more than to write.
    #[inline]
    fn replace(&mut self, slot: Slot) {
        mem::forget(mem::replace::<Slot>(self.slot, slot));
    }

    fn take(&mut self, started: Started) {
        *self.slot = Slot::Begun(started.into_running());
        self.first();
    }

    /// The first poll of a call that has begun.
    fn first(&mut self) {
        if let Slot::Begun(running) = self.slot {
            running.may_be_cancelled();
            self.began = running.poll_begins();
            running.attach_first(&mut self.here);
        }
    }

    /// What the body held is dropped.
    #[inline(never)]
    fn cancel(&mut self) {
        if let Slot::Prepared(_) = self.slot {
            *self.slot = Slot::Over;
        }
        if let Slot::Begun(running) = self.slot {
            running.attach(&mut self.here);
            // Cancelled, or the error that a stream gave.
            self.if_dropped = running.if_dropped();
        }
    }

    /// A stream has given an item.
    #[inline(never)]
    fn item(&mut self, verdict: Verdict<'_>) {
        if let Slot::Begun(running) = self.slot {
            running.item(verdict);
        }
        self.pending();
    }

    /// A stream is at its end.
    #[inline(never)]
    fn last(&mut self) {
        self.if_dropped = None;
        self.over(|running, _, _| running.end_of_items());
    }

    /// Leaves the call running.
    #[inline(never)]
    fn pending(&mut self) {
        self.if_dropped = None;
        self.forget_waiting();
        if let Slot::Begun(running) = self.slot {
            running.leave(&mut self.here);
            running.poll_ends(self.began.take());
        }
    }

    #[inline(never)]
    fn ready(&mut self, verdict: Verdict<'_>) {
        self.if_dropped = None;
        if let Slot::Begun(running) = self.slot
            && !self.here.is_attached()
            && running.end_at_once(&verdict)
        {
            return self.replace(Slot::Over);
        }
        self.ready_apart(verdict);
    }

    #[inline(never)]
    fn ready_apart(&mut self, verdict: Verdict<'_>) {
        let is_over = catch_unwind(AssertUnwindSafe(|| match self.slot {
            Slot::Begun(running) => running.end_own::<true>(&verdict, &mut self.here),
            _ => false,
        }));
        match is_over {
            Ok(true) => self.replace(Slot::Over),
            Ok(false) => self.over(|running, here, back| {
                if running.is_wanted() {
                    // As tracing does: what the future held is dropped in the span, entered once more.
                    running.attach(here);
                    running.detach(here);
                }
                running.end(verdict, back);
            }),
            Err(panic) => {
                *self.slot = Slot::Over;
                resume_unwind(panic);
            }
        }
    }

    /// The call is current no more, and `end` ends it. What users put into its context may unwind when that goes: it ends
    /// all the same.
    fn over(&mut self, end: impl FnOnce(&mut Running, &mut Here, Option<Returned>)) {
        self.forget_waiting();
        let mut torn = None;
        if let Slot::Begun(running) = self.slot {
            let back = catch_unwind(AssertUnwindSafe(|| running.detach(&mut self.here)));
            running.poll_ends(self.began.take());
            end(running, &mut self.here, back.map_err(|panic| torn = Some(panic)).ok().flatten());
        }
        *self.slot = Slot::Over;
        if let Some(panic) = torn {
            resume_unwind(panic);
        }
    }

    /// The body of a `drive_handed` that did not hand over.
    fn forget_waiting(&self) {
        if WAITING.get().cast_const() == ptr::from_ref(self).cast() {
            WAITING.set(ptr::null_mut());
        }
    }
}

impl Drop for Polling<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some((drops, room)) = self.room.take_if(|_| self.full) {
            // SAFETY: `step` has filled it, and unwound: nobody else has the value.
            unsafe { drops(room) };
        }
        let Some(outcome) = self.if_dropped else { return };
        self.over(|running, _, _| running.end_without_value(outcome));
    }
}

impl<F, C> Future for Driven<F, C>
where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `body` is pinned with us: it is moved nowhere, and dropped in its place. Nothing
        // else is treated as pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let mut room = Room::<Poll<F::Output>> { empty: () };
        let at = ((&raw mut this.of).cast(), (&raw mut room).cast());
        let drops = dropping(ptr::drop_in_place::<Poll<F::Output>>);
        // SAFETY: of all the types that `step` is for; it fills the room.
        unsafe {
            poll_with(&mut this.slot, at, (stepping(step::<F, C>), drops), context);
            ManuallyDrop::into_inner(room.full)
        }
    }
}

/// A place for a value that somebody else fills, and drops if it comes to that.
union Room<T> {
    empty: (),
    full: ManuallyDrop<T>,
}

type Drops = unsafe fn(*mut ());

/// Functions that drop what they are given the address of are the same to a caller.
fn dropping<T>(drops: unsafe fn(*mut T)) -> Drops {
    // SAFETY: pointers to types with a size are passed alike.
    unsafe { std::mem::transmute::<unsafe fn(*mut T), Drops>(drops) }
}

type Step = unsafe fn(*mut (), *mut (), &mut Polling<'_>, &mut Context<'_>);

/// The same for functions that poll.
fn stepping<D, P>(step: fn(&mut D, &mut Room<P>, &mut Polling<'_>, &mut Context<'_>)) -> Step {
    // SAFETY: pointers and references to types with a size are passed alike.
    unsafe {
        std::mem::transmute::<fn(&mut D, &mut Room<P>, &mut Polling<'_>, &mut Context<'_>), Step>(
            step,
        )
    }
}

/// A poll of the body, with all around it. What unwinds out of `step` is dealt with here, once, and not
/// in each annotated function.
///
/// # Safety
/// `ours` and `room` must be what `step` and `drops` are for.
#[inline(never)]
unsafe fn poll_with(
    slot: &mut Held,
    (ours, room): (*mut (), *mut ()),
    (step, drops): (Step, Drops),
    context: &mut Context<'_>,
) {
    let mut polling = Polling::new(slot);
    polling.room = Some((drops, room));
    polling.begin();
    // SAFETY: promised by the caller.
    unsafe { step(ours, room, &mut polling, context) };
    // It was told what came of it.
    mem::forget(polling);
}

/// Polls the body, and tells of the call what came of that.
// References, and no conversion between pointers: each of those is lines in every annotated function.
fn step<F, C>(
    ours: &mut Body<F, C>,
    room: &mut Room<Poll<F::Output>>,
    polling: &mut Polling<'_>,
    context: &mut Context<'_>,
) where
    F: Future,
    C: Fn(&F::Output) -> Verdict<'_>,
{
    // SAFETY: the body is pinned with the whole, which `poll` was given pinned.
    let body = unsafe { Pin::new_unchecked(&mut *ours.future) };
    room.full = ManuallyDrop::new(F::poll(body, context));
    polling.full = true;
    // SAFETY: filled just now.
    match unsafe { &*room.full } {
        Poll::Pending => polling.pending(),
        // The predicate is user code: while it runs the call is still current.
        Poll::Ready(value) => polling.ready((ours.judge)(value)),
    }
}

impl<S, C> Stream for Driven<S, C>
where
    S: Stream,
    C: Fn(&S::Item) -> Verdict<'_>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // SAFETY: as for futures.
        let this = unsafe { self.get_unchecked_mut() };
        let mut polling = Polling::new(&mut this.slot);
        polling.begin();
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut *this.of.future) }.poll_next(context);
        match &polled {
            Poll::Pending => polling.pending(),
            Poll::Ready(Some(item)) => polling.item((this.of.judge)(item)),
            Poll::Ready(None) => polling.last(),
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.of.future.size_hint()
    }
}

impl<F, C> Drop for Driven<F, C> {
    // Once a function, and not once a way out of whoever awaits it.
    #[inline(never)]
    fn drop(&mut self) {
        let drops = dropping(ptr::drop_in_place::<F>);
        // SAFETY: nobody uses it any more.
        unsafe { cancel_with(&mut self.slot, drops, (&raw mut self.of.future).cast()) };
    }
}

/// Drops a body, with all around that.
///
/// # Safety
/// `body` must be of the type that `drops` is for, and not be used any more.
#[inline(never)]
unsafe fn cancel_with(slot: &mut Held, drops: Drops, body: *mut ()) {
    if let Slot::Over = ***slot {
        // SAFETY: promised by the caller.
        return unsafe { drops(body) };
    }
    let mut polling = Polling::new(slot);
    polling.cancel();
    // SAFETY: promised by the caller.
    unsafe { drops(body) };
}

impl<F, C> fmt::Debug for Driven<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}
