//! Work that is handed to somebody else keeps its place: the table of `redspan::context`, row by row.

use futures_core::Stream;
use opentelemetry::global;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
use redspan::context::{Captured, Follow, capture, carry, detached, link_to};
use redspan::testing::{self, Seen, SeenSpan};
use redspan::{instrumented, sample};
use redspan_tests::process::{is_alone, run};
use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{spawn, spawn_blocking, yield_now};
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

#[instrumented]
fn leaf() {}

fn here() -> SpanContext {
    Context::current().span().span_context().clone()
}

/// What OpenTelemetry, tracing and events see, and what a call is below.
fn work() {
    let shown = tracing::Span::current().context().span().span_context().span_id();
    assert_eq!(shown, here().span_id(), "tracing and OpenTelemetry agree");
    tracing::Span::current().set_attribute("worked", true);
    tracing::info!("at work");
    leaf();
}

/// Does some work whenever something happens to it.
#[derive(Default)]
struct Busy {
    polls: usize,
    on_drop: bool,
}

impl Stream for Busy {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<()>> {
        self.polls += 1;
        if self.polls == 1 {
            work();
            Poll::Ready(Some(()))
        } else {
            Poll::Ready(None)
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.on_drop {
            work();
        }
    }
}

async fn hand_over(way: &str) {
    match way {
        "nothing" => work(),
        "spawn" => spawn(async { work() }.in_current_context()).await.unwrap(),
        "spawn, over an await" => {
            let task = async {
                yield_now().await;
                work();
            };
            spawn(task.in_current_context()).await.unwrap();
        }
        "spawn_blocking" => spawn_blocking(carry(work)).await.unwrap(),
        "thread" => thread::spawn(carry(work)).join().unwrap(),
        "scoped thread" => {
            let here = capture();
            thread::scope(|scope| scope.spawn(|| here.run(work)).join().unwrap());
        }
        "rayon spawn" => {
            let (done, wait) = oneshot::channel();
            let task = carry(move || {
                work();
                let _ = done.send(());
            });
            rayon::spawn(task);
            wait.await.unwrap();
        }
        "rayon join" => {
            let here = capture();
            rayon::join(|| here.run(work), || ());
        }
        "channel" => {
            let (sender, receiver) = mpsc::channel::<Captured>();
            sender.send(capture()).unwrap();
            let worker = thread::spawn(move || receiver.recv().unwrap().run(work));
            worker.join().unwrap();
        }
        "stream" => {
            let stream = Busy::default().in_current_context();
            let drained = async {
                let mut stream = pin!(stream);
                while poll_fn(|cx| stream.as_mut().poll_next(cx)).await.is_some() {}
            };
            spawn(drained).await.unwrap();
        }
        "select" => tokio::select! {
            () = async { yield_now().await; work() } => {}
            () = pending() => {}
        },
        "join" => {
            tokio::join!(
                async {
                    yield_now().await;
                    work()
                },
                yield_now()
            );
        }
        "timeout" => {
            let late = Duration::from_secs(60);
            tokio::time::timeout(late, async {
                yield_now().await;
                work()
            })
            .await
            .unwrap();
        }
        "timeout, dropped" => {
            let busy = Busy { on_drop: true, ..Busy::default() };
            let never = async move {
                let _busy = busy;
                pending::<()>().await;
            };
            tokio::time::timeout(Duration::from_millis(1), never).await.unwrap_err();
        }
        "async drop" => {
            let busy = Busy { on_drop: true, ..Busy::default() };
            let (started, wait) = oneshot::channel();
            let never = async move {
                let _busy = busy;
                let _ = started.send(());
                pending::<()>().await;
            };
            let task = spawn(never.in_current_context());
            wait.await.unwrap();
            task.abort();
            task.await.unwrap_err();
        }
        "async drop, never polled" => {
            let busy = Busy { on_drop: true, ..Busy::default() };
            let never = async move { drop(busy) }.in_current_context();
            thread::spawn(move || drop(never)).join().unwrap();
        }
        other => unreachable!("{other}"),
    }
}

#[instrumented]
async fn origin(way: &str) {
    hand_over(way).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carried_work_stands_where_it_was_captured() {
    for way in [
        "nothing",
        "spawn",
        "spawn, over an await",
        "spawn_blocking",
        "thread",
        "scoped thread",
        "rayon spawn",
        "rayon join",
        "channel",
        "stream",
        "select",
        "join",
        "timeout",
        "timeout, dropped",
        "async drop",
        "async drop, never polled",
    ] {
        let ((), seen) = testing::scope_async(origin(way)).await;
        let origin = seen.span("origin");
        assert_eq!(seen.span("leaf").parent_id(), Some(origin.span_id()), "{way}");
        assert_eq!(seen.log("at work").span_id, Some(origin.span_id()), "{way}");
        assert_eq!(origin.event("at work").name, "at work", "{way}");
        assert_eq!(origin.attribute("worked"), Some(true.into()), "{way}");
        seen.assert_nothing_outside();
    }
}

fn links(span: &SeenSpan) -> Vec<SpanId> {
    span.data().links.iter().map(|link| link.span_context.span_id()).collect()
}

#[tokio::test]
async fn detached_work_is_a_new_root_with_a_link() {
    #[instrumented]
    async fn mail() {
        leaf();
        tracing::info!("sent");
    }
    #[instrumented]
    async fn request() {
        let _baggage = Context::current().with_baggage([KeyValue::new("tenant", "a")]).attach();
        spawn(detached(async {
            assert_eq!(Context::current().baggage().get("tenant").unwrap().as_str(), "a");
            mail().await;
        }))
        .await
        .unwrap();
        // On the same thread, and the place is found again.
        capture().detach().run(leaf);
        work();
    }
    let ((), seen) = testing::scope_async(request()).await;
    let (request, mail) = (seen.span("request"), seen.span("mail"));
    assert_eq!((mail.parent_id(), links(&mail)), (None, vec![request.span_id()]));
    assert_ne!(mail.trace_id(), request.trace_id());
    assert_eq!(seen.log("sent").span_id, Some(mail.span_id()));
    let leaves = seen.spans_named("leaf");
    assert_eq!((leaves[0].parent_id(), links(&leaves[0])), (Some(mail.span_id()), vec![]));
    assert_eq!((leaves[1].parent_id(), links(&leaves[1])), (None, vec![request.span_id()]));
    assert_eq!(leaves[2].parent_id(), Some(request.span_id()));
}

#[test]
fn detached_work_does_not_link_to_what_nobody_records() {
    let sampler = |span: &sample::Sampling<'_>| match span.name {
        "unrecorded" => sample::Decision::Drop,
        _ => sample::Decision::Sample,
    };
    #[instrumented]
    fn unrecorded() {
        capture().detach().run(leaf);
    }
    let scope = testing::sampled_by(sample::parent_based(sampler));
    let ((), seen) = scope.scope(unrecorded);
    let leaf = seen.span("leaf");
    assert_eq!((leaf.parent_id(), links(&leaf)), (None, vec![]));
}

#[test]
fn a_batch_is_linked_to_all_its_causes() {
    #[instrumented]
    fn produce() -> Captured {
        capture()
    }
    #[instrumented]
    fn batch(messages: &[Captured]) {
        link_to(messages.iter().map(Captured::span_context).chain([SpanContext::NONE]));
    }
    let ((), seen) = testing::scope(|| {
        let messages: Vec<_> = (0..3).map(|_| produce()).collect();
        batch(&messages);
    });
    let causes: Vec<_> = seen.spans_named("produce").iter().map(SeenSpan::span_id).collect();
    assert_eq!(links(&seen.span("batch")), causes);
}

/// Runs `test` in a call, and answers what was seen.
fn in_call(test: fn()) -> Seen {
    #[instrumented]
    fn call(test: fn()) {
        test();
    }
    testing::scope(|| call(test)).1
}

#[test]
fn work_below_other_libraries_spans_is_carried_with_them() {
    let seen = in_call(|| {
        tracing::info_span!("theirs").in_scope(|| thread::spawn(carry(work)).join().unwrap());
    });
    assert_eq!(seen.tree(), "call\n  theirs\n    leaf\n");
    assert_eq!(seen.log("at work").span_id, Some(seen.span("theirs").span_id()));

    let seen = in_call(|| {
        global::tracer("other").in_span("theirs", |_| thread::spawn(carry(leaf)).join().unwrap());
    });
    assert_eq!(seen.tree(), "call\n  theirs\n    leaf\n");
}

type Parent = Option<&'static str>;

/// Writes down each span with its parent.
#[derive(Clone, Default)]
struct Tree(Arc<Mutex<Vec<(&'static str, Parent)>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Tree {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, cx: LayerContext<'_, S>) {
        let span = cx.span(id).unwrap();
        self.0.lock().unwrap().push((span.name(), span.parent().map(|span| span.name())));
    }
}

#[test]
fn without_init_tracings_spans_are_carried() {
    let test = "without_init_tracings_spans_are_carried";
    if !is_alone(test) {
        run(test, &[]);
        return;
    }
    #[instrumented]
    fn call() {
        thread::spawn(carry(leaf)).join().unwrap();
        thread::spawn(leaf).join().unwrap();
        let mut carried = pin!(async { leaf() }.in_current_context());
        let polled = thread::scope(|scope| {
            let carried = carried.as_mut();
            let poll = || carried.poll(&mut task::Context::from_waker(task::Waker::noop()));
            scope.spawn(poll).join().unwrap()
        });
        assert!(polled.is_ready());
    }
    let tree = Tree::default();
    tracing::subscriber::set_global_default(Registry::default().with(tree.clone())).unwrap();
    call();
    let leaf = |parent| ("leaf", parent);
    let expected = [("call", None), leaf(Some("call")), leaf(None), leaf(Some("call"))];
    assert_eq!(*tree.0.lock().unwrap(), expected);
}

#[test]
fn work_outlives_the_call_it_came_from() {
    #[instrumented]
    fn soon_over() -> Captured {
        capture()
    }
    let ((), seen) = testing::scope(|| {
        let from = soon_over();
        thread::spawn(move || from.run(work)).join().unwrap();
    });
    let call = seen.span("soon_over");
    assert_eq!(seen.span("leaf").parent_id(), Some(call.span_id()));
    assert_eq!(seen.log("at work").span_id, Some(call.span_id()));
}

#[test]
fn a_panic_leaves_the_thread_as_it_was() {
    let seen = in_call(|| {
        let before = here();
        let from = capture();
        let unwound =
            catch_unwind(AssertUnwindSafe(|| from.run(|| std::panic::resume_unwind(Box::new(1)))));
        let _: Box<dyn std::any::Any + Send> =
            unwound.map(|it: Infallible| match it {}).unwrap_err();
        assert_eq!(here(), before);
        work();
    });
    assert_eq!(seen.span("leaf").parent_id(), Some(seen.span("call").span_id()));
}

#[test]
fn where_nothing_is_current_nothing_is_carried() {
    let ((), seen) = testing::scope(|| {
        thread::spawn(carry(work)).join().unwrap();
        link_to([here()]);
        drop(detached(ready(())));
    });
    assert_eq!((seen.span("leaf").parent_id(), seen.spans().len()), (None, 1));
}
