//! Wherever the attribute stands and however the function returns: one call, one outcome, and span
//! and numbers say the same.

use futures_core::Stream;
use redspan::testing::{self, Seen};
use redspan::{Status, instrumented};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// How a function is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Ok,
    Err,
    Panic,
    Cancelled,
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

type Out = Result<u8, Refused>;

fn act(how: How) -> Out {
    match how {
        How::Err => Err(Refused),
        How::Panic => resume_unwind(Box::new(())),
        How::Ok | How::Cancelled => Ok(1),
    }
}

/// Pending once, and for ever if it is to be cancelled.
async fn act_later(how: How) -> Out {
    let mut polled = false;
    std::future::poll_fn(|_| {
        let wait = how == How::Cancelled || !std::mem::replace(&mut polled, true);
        if wait { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    act(how)
}

/// The same as a stream of one item.
struct Feed(How, u8);

fn feed(how: How) -> Feed {
    Feed(how, 0)
}

impl Stream for Feed {
    type Item = Out;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Out>> {
        self.1 += 1;
        match self.1 {
            1 => Poll::Pending,
            _ if self.0 == How::Cancelled => Poll::Pending,
            2 => Poll::Ready(Some(act(self.0))),
            _ => Poll::Ready(None),
        }
    }
}

/// Runs what a function gave until it panics, is at its end, or will never be.
fn now(out: Out) {
    let _ = out;
}

fn polled(future: impl Future<Output = Out>) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let _ = (0..4).find(|_| future.as_mut().poll(&mut context).is_ready());
}

fn streamed(stream: impl Stream<Item = Out>) {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    let _ = (0..4).find(|_| matches!(stream.as_mut().poll_next(&mut context), Poll::Ready(None)));
}

type Calls = Vec<(&'static str, Box<dyn FnOnce()>)>;

macro_rules! form {
    (
        $form:ident, $drive:ident, [$($async:tt)?] $how:ident
        -> $out:ty $body:block
        borrowed $borrowed:ty;
        recursive $depth:ident -> $recursive:ty $again:block
    ) => {
        // What the bare functions would have as well: some forms name the lifetime, some do not.
        #[allow(unused_braces, clippy::needless_lifetimes)]
        mod $form {
            use super::*;

            #[instrumented]
            $($async)? fn free($how: How) -> $out $body

            #[instrumented]
            $($async)? fn generic<T: Clone + 'static, const N: usize>(
                kept: [T; N],
                $how: How,
                _more: impl Sized + 'static,
            ) -> $out {
                let _ = kept.clone();
                $body
            }

            #[instrumented]
            $($async)? fn borrowed<'a>(kept: &'a mut String, $how: How) -> $borrowed {
                kept.push('a');
                $body
            }

            #[instrumented]
            $($async)? fn recursive($depth: u8, $how: How) -> $recursive $again

            struct Service;

            impl Service {
                #[instrumented]
                $($async)? fn inherent(&self, $how: How) -> $out $body
            }

            trait Acts {
                $($async)? fn in_trait(&self, $how: How) -> $out;

                #[instrumented]
                $($async)? fn by_default(&self, $how: How) -> $out $body
            }

            impl Acts for Service {
                #[instrumented]
                $($async)? fn in_trait(&self, $how: How) -> $out $body
            }

            pub(super) fn calls(how: How) -> Calls {
                vec![
                    ("free", Box::new(move || $drive(free(how)))),
                    ("generic", Box::new(move || $drive(generic([1, 2], how, 'c')))),
                    ("borrowed", Box::new(move || $drive(borrowed(&mut String::new(), how)))),
                    ("recursive", Box::new(move || $drive(recursive(2, how)))),
                    ("inherent", Box::new(move || $drive(Service.inherent(how)))),
                    ("in_trait", Box::new(move || $drive(Service.in_trait(how)))),
                    ("by_default", Box::new(move || $drive(Service.by_default(how)))),
                ]
            }
        }
    };
}

form! {
    sync, now, [] how -> Out { act(how) }
    borrowed Out;
    recursive depth -> Out {
        if depth == 0 {
            return act(how);
        }
        recursive(depth - 1, how)
    }
}

form! {
    async_fn, polled, [async] how -> Out { act_later(how).await }
    borrowed Out;
    recursive depth -> Out {
        if depth == 0 {
            return act_later(how).await;
        }
        Box::pin(recursive(depth - 1, how)).await
    }
}

form! {
    impl_future, polled, [] how -> impl Future<Output = Out> + Send { async move { act_later(how).await } }
    borrowed impl Future<Output = Out> + Send + 'a;
    recursive depth -> impl Future<Output = Out> {
        async move {
            if depth == 0 {
                return act_later(how).await;
            }
            Box::pin(recursive(depth - 1, how)).await
        }
    }
}

form! {
    boxed_future, polled, [] how
    -> Pin<Box<dyn Future<Output = Out> + Send>> { Box::pin(act_later(how)) }
    borrowed Pin<Box<dyn Future<Output = Out> + Send + 'a>>;
    recursive depth -> Pin<Box<dyn Future<Output = Out> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return act_later(how).await;
            }
            recursive(depth - 1, how).await
        })
    }
}

form! {
    stream, streamed, [] how -> impl Stream<Item = Out> + Send { feed(how) }
    borrowed impl Stream<Item = Out> + Send + 'a;
    recursive depth -> Pin<Box<dyn Stream<Item = Out> + Send>> {
        if depth == 0 {
            return Box::pin(feed(how));
        }
        recursive(depth - 1, how)
    }
}

form! {
    boxed_stream, streamed, [] how
    -> Pin<Box<dyn Stream<Item = Out> + Send>> { Box::pin(feed(how)) }
    borrowed Pin<Box<dyn Stream<Item = Out> + Send + 'a>>;
    recursive depth -> Box<dyn Stream<Item = Out> + Send + Unpin> {
        if depth == 0 {
            return Box::new(feed(how));
        }
        recursive(depth - 1, how)
    }
}

/// `async fn` in traits, which `form!` has only without type arguments and lifetimes.
macro_rules! in_traits {
    ($name:ident $(, #[$above:meta])?) => {
        mod $name {
            use super::*;

            struct Service;

            $(#[$above])?
            trait Acts {
                async fn in_trait(&self, how: How) -> Out;

                #[instrumented]
                async fn by_default(&self, how: How) -> Out {
                    act_later(how).await
                }

                async fn generic<T: Clone + Send + Sync + 'static>(&self, kept: T, how: How) -> Out;

                async fn borrowed<'a>(&'a self, kept: &'a mut String, how: How) -> Out;

                async fn recursive(&self, depth: u8, how: How) -> Out;
            }

            $(#[$above])?
            impl Acts for Service {
                #[instrumented(fields(how = ?how))]
                async fn in_trait(&self, how: How) -> Out {
                    act_later(how).await
                }

                #[instrumented]
                async fn generic<T: Clone + Send + Sync + 'static>(&self, kept: T, how: How) -> Out {
                    let _ = kept.clone();
                    act_later(how).await
                }

                #[instrumented(fields(kept))]
                async fn borrowed<'a>(&'a self, kept: &'a mut String, how: How) -> Out {
                    kept.push('a');
                    act_later(how).await
                }

                #[instrumented]
                async fn recursive(&self, depth: u8, how: How) -> Out {
                    if depth == 0 {
                        return act_later(how).await;
                    }
                    Box::pin(self.recursive(depth - 1, how)).await
                }
            }

            pub(super) fn calls(how: How) -> Calls {
                vec![
                    ("in_trait", Box::new(move || polled(Service.in_trait(how)))),
                    ("by_default", Box::new(move || polled(Service.by_default(how)))),
                    ("generic", Box::new(move || polled(Service.generic('c', how)))),
                    ("borrowed", Box::new(move || polled(Service.borrowed(&mut String::new(), how)))),
                    ("recursive", Box::new(move || polled(Service.recursive(2, how)))),
                ]
            }
        }
    };
}

in_traits!(async_in_trait);
in_traits!(async_trait_, #[async_trait::async_trait]);

/// Every place of a form in every way.
fn check(calls: fn(How) -> Calls, ways: &[How]) {
    for &how in ways {
        for (name, call) in calls(how) {
            let (_, seen) = testing::scope(|| catch_unwind(AssertUnwindSafe(call)));
            one_outcome(&seen, name, how);
        }
    }
}

fn one_outcome(seen: &Seen, name: &str, how: How) {
    let context = format!("{name} {how:?}\n{}", seen.tree());
    let calls = seen.calls(name);
    let spans = seen.spans_named(name);
    let times = if name == "recursive" { 3 } else { 1 };
    let (outcome, status, counted) = match how {
        How::Ok => ("ok", Status::Unset, calls.ok),
        How::Err => ("error", Status::error("refused"), calls.error),
        How::Panic => ("panic", Status::error("panic"), calls.panic),
        How::Cancelled => ("cancelled", Status::Unset, calls.cancelled),
    };
    assert_eq!((calls.started, counted, calls.in_flight), (times, times, 0), "{context}");
    let labels = [("function", name), ("outcome", outcome)];
    assert_eq!(seen.counter("function_calls_total", &labels), Some(times), "{context}");
    let durations = seen.histogram("function_calls_duration_seconds", &[("function", name)]);
    assert_eq!(durations.map(|durations| durations.count), Some(times), "{context}");
    assert_eq!(spans.len() as u64, times, "{context}");
    for span in &spans {
        assert_eq!(*span.status(), status, "{context}");
    }
    let deeper = spans.iter().filter(|span| seen.parent_of(span).is_some()).count() as u64;
    assert_eq!(deeper, times - 1, "{context}");
}

const SYNC: &[How] = &[How::Ok, How::Err, How::Panic];
const LATER: &[How] = &[How::Ok, How::Err, How::Panic, How::Cancelled];

#[test]
fn functions() {
    check(sync::calls, SYNC);
}

#[test]
fn async_functions_also_in_traits() {
    check(async_fn::calls, LATER);
}

#[test]
fn async_methods_of_traits() {
    check(async_in_trait::calls, LATER);
}

#[test]
fn methods_under_async_trait() {
    check(async_trait_::calls, LATER);
}

#[test]
fn functions_that_return_a_future() {
    check(impl_future::calls, LATER);
}

#[test]
fn functions_that_return_a_boxed_future() {
    check(boxed_future::calls, LATER);
}

#[test]
fn functions_that_return_a_stream() {
    check(stream::calls, LATER);
}

#[test]
fn functions_that_return_a_boxed_stream() {
    check(boxed_stream::calls, LATER);
}
