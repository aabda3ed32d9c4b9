//! Programs made by chance: calls, futures, streams, spans by hand and by tracing, values in the context, scopes of the
//! log, threads, futures that are polled in turns, elsewhere, or dropped, and panics, one within another. Wherever one
//! looks, what is current is what encloses it in the program; every line names that, every sampled span has it as its
//! parent, and in the end nothing is current, and no context is held.
//!
//! `cargo test` runs some hundreds of them. More, or one again:
//! `REDSPAN_PROGRAMS=1000000 cargo test --test random_programs`, `REDSPAN_PROGRAM=17 cargo test --test random_programs`.

use futures_core::Stream;
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt};
use opentelemetry_sdk::trace::SpanData;
use redspan::context::{Follow, carry};
use redspan::sample::{parent_based, trace_id_ratio};
use redspan::{catalog, instrumented, measured};
use redspan_tests::{Kept, Lines, Random, process, seeds};
use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{self, Poll, Waker};
use std::thread;
use std::time::Duration;
use tracing::Instrument;

/// How deep, and how many within one.
const DEEP: u32 = 6;
const WIDE: usize = 4;

/// Programs between two looks at what was exported.
const AT_ONCE: usize = 100;

/// What makes a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Makes {
    Call,
    Block,
    ByHand,
    ByTracing,
}

#[derive(Clone, Debug)]
enum Step {
    Look,
    Yield,
    /// A span around steps, which panics at their end or does not.
    Span(u64, Makes, Steps, bool),
    /// The same as a future.
    Future(u64, Makes, Steps, bool),
    Value(u64, Steps),
    /// Its lines have a field more.
    Scope(u64, Steps),
    /// Nothing in it is to be seen.
    Silent(Steps),
    /// Futures in turns.
    Join(Vec<Steps>, u64),
    /// A future that is dropped after so many polls.
    Dropped(Steps, usize),
    Thread(Steps),
    /// A future that is begun here, and polled to its end on threads that know nothing.
    Wanders(u64, Makes, Steps),
    /// A stream of as many items as there are steps, of which so many are taken.
    Stream(u64, Vec<Steps>, usize),
    /// A future that was given the context, polled on threads that know nothing.
    Carried(Steps),
}

type Steps = Arc<[Step]>;

fn steps(random: &mut Random, ids: &mut u64, deep: u32) -> Steps {
    let count = random.below(WIDE + 1);
    (0..count).map(|_| step(random, ids, deep)).collect()
}

fn step(random: &mut Random, ids: &mut u64, deep: u32) -> Step {
    let kind = if deep == 0 { random.below(2) } else { random.below(18) };
    *ids += 1;
    let id = *ids;
    let makes =
        random.of(&[Makes::Call, Makes::Call, Makes::Block, Makes::ByHand, Makes::ByTracing]);
    let panics = random.below(12) == 0;
    let mut inside = || steps(random, ids, deep - 1);
    match kind {
        0 => Step::Look,
        1 => Step::Yield,
        2..=4 => Step::Span(id, makes, inside(), panics),
        5..=8 => Step::Future(id, makes, inside(), panics),
        9 => Step::Value(id, inside()),
        10 => Step::Join(vec![inside(), inside(), inside()], id),
        11 => Step::Dropped(inside(), random.below(4)),
        12 => Step::Thread(inside()),
        13 => Step::Stream(id, vec![inside(), inside()], random.below(4)),
        14 => Step::Scope(id, inside()),
        15 => Step::Silent(inside()),
        16 => Step::Wanders(id, makes, inside()),
        _ => Step::Carried(inside()),
    }
}

/// Held by each value that is still somewhere.
static HELD: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

struct Value(u64, #[expect(dead_code, reason = "counted")] Arc<()>);

fn silent() -> Context {
    Context::current().with_telemetry_suppressed()
}

fn with_value(value: u64) -> Context {
    Context::current_with_value(Value(value, HELD.clone()))
}

/// What encloses a step.
#[derive(Clone)]
struct At {
    span: Option<SpanId>,
    value: Option<u64>,
    scope: Option<u64>,
    silent: bool,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    /// Each sampled span that was begun: its own id, its parent's.
    sampled: BTreeMap<u64, (SpanId, Option<SpanId>)>,
    wrong: Vec<String>,
}

impl World {
    /// What is wrong with those of its spans that have ended, which are taken.
    fn compared(&self, ended: &mut HashMap<SpanId, Vec<SpanData>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, (own, parent)) in &self.sampled {
            match &*ended.remove(own).unwrap_or_default() {
                [span] if span.parent_span_id == parent.unwrap_or(SpanId::INVALID) => {}
                spans => wrong.push(format!("span {id} is {spans:?}, and its parent {parent:?}")),
            }
        }
        wrong
    }
}

fn current() -> Option<SpanId> {
    let context = Context::current();
    let id = context.span().span_context().span_id();
    (id != SpanId::INVALID).then_some(id)
}

impl At {
    fn with(&self, value: u64) -> At {
        At { value: Some(value), ..self.clone() }
    }

    fn scoped(&self, scope: u64) -> At {
        At { scope: Some(scope), ..self.clone() }
    }

    fn silenced(&self) -> At {
        At { silent: true, ..self.clone() }
    }

    fn look(&self, place: &str) {
        let here = Context::current();
        let is = (current(), here.get::<Value>().map(|it| it.0), here.is_telemetry_suppressed());
        let expected = (self.span, self.value, self.silent);
        if is != expected {
            self.world.lock().unwrap().wrong.push(format!("{place}: {is:?}, not {expected:?}"));
        }
        let within = self.span.map(|span| span.to_string());
        tracing::info!(within, scoped = self.scope, "{place}");
    }

    /// In a span that has just begun. Below one that is not sampled there is none but that.
    fn entered(&self, id: u64) -> At {
        let span = current();
        let is_sampled = Context::current().span().span_context().is_sampled();
        let mut world = self.world.lock().unwrap();
        match span {
            _ if self.silent && span == self.span => {}
            Some(own) if !self.silent && is_sampled && span != self.span => {
                world.sampled.insert(id, (own, self.span));
            }
            Some(_) if !self.silent && !is_sampled => {}
            _ => world.wrong.push(format!("span {id} is not current in itself: {span:?}")),
        }
        At { span, ..self.clone() }
    }
}

/// Looks where it is dropped.
struct Looks(At, &'static str);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.look(self.1);
    }
}

#[instrumented]
fn call(id: u64, inside: &Steps, panics: bool, at: At) {
    within(id, inside, panics, at);
}

fn within(id: u64, inside: &Steps, panics: bool, at: At) {
    let at = at.entered(id);
    let _looks = Looks(at.clone(), "at the end of a span");
    now(inside, &at);
    if panics {
        resume_unwind(Box::new("on purpose"));
    }
}

#[instrumented]
async fn later(id: u64, inside: Steps, panics: bool, at: At) {
    within_later(id, inside, panics, at).await;
}

async fn within_later(id: u64, inside: Steps, panics: bool, at: At) {
    let at = at.entered(id);
    let _looks = Looks(at.clone(), "at the end of a future");
    run(inside, at.clone()).await;
    if panics {
        resume_unwind(Box::new("on purpose"));
    }
}

/// An item when each of these is done.
struct Items {
    id: u64,
    left: Vec<Steps>,
    at: At,
    /// In its span, once that has begun.
    looks: Option<Looks>,
    running: Option<Running>,
}

impl Stream for Items {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<()>> {
        let this = &mut *self;
        let looks = this
            .looks
            .get_or_insert_with(|| Looks(this.at.entered(this.id), "at the end of a stream"));
        looks.0.look("in a stream");
        if this.running.is_none() {
            let Some(next) = this.left.pop() else {
                // Its span ends here, whenever it is dropped.
                this.looks = None;
                return Poll::Ready(None);
            };
            this.running = Some(run(next, looks.0.clone()));
        }
        let Some(running) = &mut this.running else { return Poll::Pending };
        let polled = running.as_mut().poll(context);
        if polled.is_ready() {
            this.running = None;
        }
        polled.map(Some)
    }
}

#[instrumented]
fn items(id: u64, left: Vec<Steps>, at: At) -> impl Stream<Item = ()> + Send {
    Items { id, left, at, looks: None, running: None }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// To its end, or its panic.
fn drive(mut future: Running) {
    let _ = catch_unwind(AssertUnwindSafe(|| while poll(future.as_mut()).is_pending() {}));
}

/// To its end, each poll on a thread of its own.
fn elsewhere(mut future: Running) {
    let is_over = AtomicBool::new(false);
    while !is_over.load(Relaxed) {
        thread::scope(|scope| {
            scope.spawn(|| {
                is_over.store(poll(future.as_mut()).is_ready(), Relaxed);
                assert_eq!(current(), None, "nothing is left on a thread");
            });
        });
    }
}

/// The panic is caught where it is polled.
async fn caught(mut future: Running) {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(()),
    })
    .await;
}

async fn turn() {
    let mut is_over = false;
    poll_fn(
        |_| if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// Runs steps that do not wait.
fn now(inside: &Steps, at: &At) {
    for step in &**inside {
        match step {
            Step::Span(id, makes, inside, panics) => {
                let (id, panics, outer) = (*id, *panics, at.clone());
                let _ = catch_unwind(AssertUnwindSafe(|| match makes {
                    Makes::Call => call(id, inside, panics, outer),
                    Makes::Block => measured!("block", { within(id, inside, panics, outer) }),
                    Makes::ByHand => {
                        redspan::span("by hand").in_scope(|_| within(id, inside, panics, outer))
                    }
                    Makes::ByTracing => tracing::info_span!("tracing")
                        .in_scope(|| within(id, inside, panics, outer)),
                }));
            }
            Step::Value(value, inside) => {
                let _value = with_value(*value).attach();
                now(inside, &at.with(*value));
            }
            Step::Silent(inside) => {
                let _silent = silent().attach();
                now(inside, &at.silenced());
            }
            Step::Scope(scope, inside) => {
                let outer = at.scoped(*scope);
                redspan::log::scope().with("scope", *scope).in_scope(|| now(inside, &outer));
            }
            Step::Thread(inside) => {
                let (inside, outer) = (inside.clone(), at.clone());
                thread::spawn(carry(move || now(&inside, &outer))).join().unwrap();
            }
            Step::Look => at.look("in a span"),
            Step::Yield => {}
            step => drive(run([step.clone()].into(), at.clone())),
        }
        at.look("after a step");
    }
}

/// A span around a future.
fn begun(id: u64, makes: Makes, inside: &Steps, panics: bool, at: &At) -> Running {
    let (inside, at) = (inside.clone(), at.clone());
    let body = within_later(id, inside.clone(), panics, at.clone());
    match makes {
        Makes::Call => Box::pin(later(id, inside, panics, at)),
        Makes::Block => Box::pin(async move {
            measured!("block", async {
                body.await;
            })
            .await
        }),
        Makes::ByHand => Box::pin(redspan::span("by hand").run(body)),
        // Its parent is what is current here, where it is made.
        Makes::ByTracing => Box::pin(body.instrument(tracing::info_span!("tracing"))),
    }
}

/// Runs steps that may wait in a context. Not by OpenTelemetry's `with_context`: it drops a future where it is dropped,
/// and not within.
fn run_in(context: Context, inside: &Steps, at: At) -> impl Future<Output = ()> + Send + use<> {
    let _inside = context.attach();
    run(inside.clone(), at).in_current_context()
}

/// Runs steps that may wait.
fn run(inside: Steps, at: At) -> Running {
    Box::pin(async move {
        for step in &*inside {
            match step {
                Step::Yield => turn().await,
                Step::Future(id, makes, inside, panics) => {
                    let future = begun(*id, *makes, inside, *panics, &at);
                    caught(future).await;
                }
                Step::Value(value, inside) => {
                    run_in(with_value(*value), inside, at.with(*value)).await;
                }
                Step::Silent(inside) => {
                    run_in(silent(), inside, at.silenced()).await;
                }
                Step::Scope(scope, inside) => {
                    let inside = run(inside.clone(), at.scoped(*scope));
                    redspan::log::scope().with("scope", *scope).run(inside).await;
                }
                Step::Join(all, seed) => {
                    let mut random = Random(*seed);
                    let mut left: Vec<Running> =
                        all.iter().map(|inside| run(inside.clone(), at.clone())).collect();
                    poll_fn(|context| {
                        for _ in 0..left.len() {
                            if left.is_empty() {
                                break;
                            }
                            let which = random.below(left.len());
                            if left[which].as_mut().poll(context).is_ready() {
                                drop(left.swap_remove(which));
                            }
                            at.look("between futures");
                        }
                        if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                }
                Step::Dropped(inside, polls) => {
                    let mut future = run(inside.clone(), at.clone());
                    for _ in 0..*polls {
                        if poll(future.as_mut()).is_ready() {
                            break;
                        }
                        at.look("after a poll");
                    }
                }
                Step::Carried(inside) => {
                    elsewhere(Box::pin(run(inside.clone(), at.clone()).in_current_context()));
                }
                Step::Stream(id, all, most) => {
                    let mut stream = Box::pin(items(*id, all.clone(), at.clone()));
                    for _ in 0..*most {
                        let next = poll_fn(|context| stream.as_mut().poll_next(context)).await;
                        at.look("after an item");
                        if next.is_none() {
                            break;
                        }
                    }
                }
                Step::Wanders(id, makes, inside) => {
                    let mut future = begun(*id, *makes, inside, false, &at);
                    if poll(future.as_mut()).is_pending() {
                        elsewhere(future);
                    }
                }
                step => now(&[step.clone()].into(), &at),
            }
            at.look("after a step that may wait");
        }
    })
}

fn run_program(seed: u64) -> World {
    let world = Arc::<Mutex<World>>::default();
    let program = steps(&mut Random(seed), &mut 0, DEEP);
    if std::env::var_os("REDSPAN_PROGRAM").is_some() {
        println!("{program:#?}");
    }
    now(
        &program,
        &At { span: None, value: None, scope: None, silent: false, world: world.clone() },
    );
    std::mem::take(&mut *world.lock().unwrap())
}

#[test]
fn whatever_a_program_does_what_encloses_is_current() {
    const TEST: &str = "whatever_a_program_does_what_encloses_is_current";
    process::alone(TEST, &[], || {
        let kept = Kept::default();
        let lines = Lines::default();
        let json = redspan::log::layer().with_writer(lines.clone());
        let most = parent_based(trace_id_ratio(0.7));
        let builder = redspan::builder().spans_to(kept.clone()).sampler(most).logs(json);
        let telemetry = builder.install().unwrap();
        let (mut spans, mut wrong) = (0, Vec::new());
        let programs: Vec<u64> = seeds("REDSPAN_PROGRAM", "REDSPAN_PROGRAMS", 500).collect();
        for seeds in programs.chunks(AT_ONCE) {
            let worlds: Vec<World> = seeds.iter().map(|seed| run_program(*seed)).collect();
            assert!(telemetry.flush(Duration::from_secs(60)));
            let mut ended: HashMap<SpanId, Vec<SpanData>> = HashMap::new();
            for span in std::mem::take(&mut *kept.0.lock().unwrap()) {
                ended.entry(span.span_context.span_id()).or_default().push(span);
            }
            for (seed, world) in seeds.iter().zip(worlds) {
                spans += world.sampled.len();
                let found = world.wrong.iter().cloned().chain(world.compared(&mut ended));
                wrong.extend(found.map(|it| format!("REDSPAN_PROGRAM={seed}: {it}")));
            }
            let named = |line: &serde_json::Value| {
                line["span_id"] == line["within"] && line["scope"] == line["scoped"]
            };
            let unnamed = lines.take_json().into_iter().filter(|line| !named(line));
            wrong.extend(unnamed.map(|line| format!("it names another span, or scope: {line}")));
            wrong.extend(ended.values().flatten().map(|span| format!("nobody began {span:?}")));
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
        assert_eq!(Arc::strong_count(&HELD), 1, "a context is still held");
        assert!(catalog().all(|site| site.red().in_flight() == 0));
        println!("{spans} spans");
    });
}
