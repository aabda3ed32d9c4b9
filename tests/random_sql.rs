//! Programs made by chance against a database, SQLite, PostgreSQL or MariaDB: connections that are waited for, lent, given
//! back, detached, closed or leaked; queries, streams, transactions and savepoints on them, within calls or not, sampled or
//! not; futures that are dropped after so many polls, panics, and a pool that is closed meanwhile, on several threads at
//! once. Whatever they are told by sqlx, spans and numbers say the same, each once, and in the end nobody waits, and
//! nothing is lent.
//!
//! `cargo test` runs some hundreds of them. More, or one again:
//! `REDSPAN_PROGRAMS=10000 cargo test --test random_sql`, `REDSPAN_PROGRAM=17 cargo test --test random_sql`.

use futures_core::future::BoxFuture;
use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use redspan::sample::{parent_based, trace_id_ratio};
use redspan::sqlx::{Connection, Held, Pool, PoolConnection, Transaction};
use redspan::{catalog, instrumented};
use redspan_tests::mariadb::MariaDb;
use redspan_tests::postgres::Postgres;
use redspan_tests::{Kept, Random, process, seeds};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Database, Error, Executor, MySql, Postgres as Pg, Sqlite};
use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

#[path = "random_sql/databases.rs"]
mod databases;
#[path = "random_sql/queries.rs"]
mod queries;
#[path = "random_sql/steps.rs"]
mod steps;
#[path = "random_sql/told.rs"]
mod told;

use databases::Asked;
use queries::{MADE, Query, SECRET};
use steps::{Around, Back, DEEP, Over, Step, Steps, Works, steps};
use told::{Below, Done, Ending, Expected, Numbers, POOL, Ran, Wait, shown};

/// Only what never ends takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Held by each context that is still somewhere.
static HELD: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

struct Value(#[expect(dead_code, reason = "counted")] Arc<()>);

#[instrumented]
async fn call<F: Future>(inside: F) -> F::Output {
    inside.await
}

async fn turn() {
    let mut is_over = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A panic.
struct OnPurpose;

#[derive(Default)]
struct World {
    ids: u64,
    done: Vec<Done>,
    /// Without a wait.
    loans: u64,
    leaked: u64,
    wrong: Vec<String>,
}

struct Program<DB: Database> {
    pool: Pool<DB>,
    /// The same, whose waits are no spans.
    silent: Pool<DB>,
    world: Mutex<World>,
}

type Running<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn work<'c>(turns: usize, works: Works) -> BoxFuture<'c, Result<(), Error>> {
    Box::pin(async move {
        for _ in 0..turns {
            turn().await;
        }
        match works {
            Works::Well => Ok(()),
            Works::Fails => Err(Error::Protocol("on purpose".into())),
            Works::Panics => resume_unwind(Box::new(OnPurpose)),
        }
    })
}

impl<DB> Program<DB>
where
    DB: Asked,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    fn is_wrong(&self, what: impl Into<String>) {
        self.world.lock().unwrap().wrong.push(what.into());
    }

    fn of(&self, around: &Around) -> &Pool<DB> {
        if around.shows_waits { &self.pool } else { &self.silent }
    }

    fn caught(&self, panic: &(dyn Any + Send)) {
        if !panic.is::<OnPurpose>() {
            self.is_wrong("somebody panicked");
        }
    }

    fn look(&self) {
        let here = Context::current();
        if here.has_active_span() || here.get::<Value>().is_some() {
            self.is_wrong(format!("{:?} is current", here.span().span_context()));
        }
    }

    /// Below a parent of its own: by that its spans are found again.
    async fn ran<T>(&self, around: &Around, future: impl Future<Output = T>) -> (u64, Ran<T>) {
        let id = {
            let mut world = self.world.lock().unwrap();
            world.ids += 1;
            world.ids
        };
        let flags = TraceFlags::default().with_sampled(around.is_sampled);
        let (trace, span) = (TraceId::from(u128::from(id)), SpanId::from(id));
        let parent = SpanContext::new(trace, span, flags, true, TraceState::default());
        let context = Context::new().with_remote_span_context(parent);
        let context = context.with_value(Value(HELD.clone()));
        let is_in_call = around.is_in_call;
        let future = async move { if is_in_call { call(future).await } else { future.await } };
        let mut future = Box::pin(future.with_context(context));
        let (mut left, mut ran) = (around.polls, Ran::Never);
        poll_fn(|context| {
            while left > 0 {
                left -= 1;
                ran = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                    Ok(Poll::Ready(value)) => Ran::Ended(value),
                    Ok(Poll::Pending) if left > 0 => return Poll::Pending,
                    Ok(Poll::Pending) => Ran::Dropped,
                    Err(panic) => {
                        self.caught(&*panic);
                        Ran::Panicked
                    }
                };
                left = 0;
            }
            Poll::Ready(())
        })
        .await;
        drop(future);
        self.look();
        (id, ran)
    }

    fn done<T>(
        &self,
        (id, around, ran): (u64, &Around, &Ran<T>),
        wait: Option<Wait>,
        operation: Option<(&'static str, Ending)>,
    ) {
        let began = !matches!(ran, Ran::Never);
        let done = Done { id, around: *around, wait, operation, began };
        self.world.lock().unwrap().done.push(done);
    }

    /// One operation; if it is the pool's, after a wait for a connection.
    async fn does<T>(
        &self,
        around: &Around,
        name: &'static str,
        of_pool: bool,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Ran<Result<T, Error>> {
        let (id, ran) = self.ran(around, future).await;
        let ending = ran.ending(|_| Ending::Ok(None));
        let wait = ran.wait().filter(|_| of_pool);
        self.done((id, around, &ran), wait, ending.map(|it| (name, it)));
        ran
    }

    async fn ask<'e>(
        &self,
        around: &Around,
        executor: impl Executor<'e, Database = DB> + 'e,
        query: Query,
        of_pool: bool,
    ) {
        let polls = match query.is_prepared() && !DB::LEAVES_PREPARED {
            true if around.polls > 0 => usize::MAX,
            _ => around.polls,
        };
        let around = &Around { polls, ..*around };
        let (id, ran) = self.ran(around, query.asked(executor)).await;
        if !query.may::<DB>(&ran, of_pool) {
            let ended = if let Ran::Ended(ended) = &ran { Some(ended) } else { None };
            self.is_wrong(format!("{query:?}: {ended:?}"));
        }
        let ending = query.ending::<DB>(&ran);
        let wait = ran.wait().filter(|_| of_pool && ending.is_some());
        let operation = ending.map(|ending| (query.operation(), ending));
        self.done((id, around, &ran), wait, operation);
    }

    /// On a connection of which so many transactions are open.
    fn on<'a, H: Held<Database = DB>>(
        &'a self,
        connection: &'a mut Connection<H>,
        depth: &'a Cell<usize>,
        steps: &'a [Step],
    ) -> Running<'a, ()> {
        Box::pin(async move {
            for step in steps {
                match step {
                    Step::Ask(around, query) => {
                        self.ask(around, &mut *connection, *query, false).await;
                    }
                    Step::Operation(around, turns, works) => {
                        let (turns, works) = (*turns, *works);
                        let operation = connection.operation("COPY orders", |_| work(turns, works));
                        self.does(around, "COPY", false, operation).await;
                    }
                    Step::Begin(around, inside, last, over)
                    | Step::TryBegin(around, inside, last, over) => {
                        // Who is refused asks once more: fewer are open then.
                        for _ in 0..2 {
                            let (name, polls) = match depth.get() {
                                0 => ("BEGIN", around.polls),
                                // Given up, it takes what is around it along, whenever sqlx comes to it.
                                _ => ("SAVEPOINT", usize::MAX),
                            };
                            let around = Around { polls, ..*around };
                            match self.does(&around, name, false, connection.begin()).await {
                                Ran::Ended(Ok(begun)) => {
                                    depth.set(depth.get() + 1);
                                    self.within(begun, depth, inside, last, *over).await;
                                    break;
                                }
                                Ran::Ended(Err(_)) => {
                                    depth.set(depth.get().saturating_sub(DB::TAKES_ALONG));
                                }
                                _ => break,
                            }
                        }
                    }
                    Step::Panic => resume_unwind(Box::new(OnPurpose)),
                    step => self.run(std::slice::from_ref(step)).await,
                }
            }
        })
    }

    async fn within(
        &self,
        mut begun: Transaction<'_, DB>,
        depth: &Cell<usize>,
        inside: &[Step],
        last: &Around,
        over: Over,
    ) {
        self.on(&mut begun, depth, inside).await;
        let is_savepoint = depth.get() > 1;
        let (name, ending): (_, Running<'_, _>) = match (over, is_savepoint) {
            (Over::Dropped, _) => {
                drop(begun);
                depth.set(depth.get().saturating_sub(1));
                return;
            }
            (Over::Committed, true) => ("RELEASE SAVEPOINT", Box::pin(begun.commit())),
            (Over::Committed, false) => ("COMMIT", Box::pin(begun.commit())),
            (Over::RolledBack, true) => ("ROLLBACK TO SAVEPOINT", Box::pin(begun.rollback())),
            (Over::RolledBack, false) => ("ROLLBACK", Box::pin(begun.rollback())),
        };
        self.does(last, name, false, ending).await;
        depth.set(depth.get().saturating_sub(1));
    }

    async fn held(&self, mut lent: PoolConnection<DB>, inside: &[Step], last: &Around, back: Back) {
        self.on(&mut lent, &Cell::new(0), inside).await;
        match back {
            Back::Dropped => drop(lent),
            Back::Closed => {
                let (id, ran) = self.ran(last, lent.close()).await;
                self.done((id, last, &ran), None, None);
            }
            Back::ClosedOnDrop => lent.close_on_drop(),
            Back::Detached => drop(lent.detach()),
            Back::Leaked => {
                self.world.lock().unwrap().leaked += 1;
                drop(lent.leak());
            }
        }
    }

    /// Of the pool; who panics is caught, and lets go of whatever is held.
    fn run<'a>(&'a self, steps: &'a [Step]) -> Running<'a, ()> {
        Box::pin(async move {
            for step in steps {
                let mut one = Box::pin(self.one(step));
                poll_fn(|context| {
                    let poll = AssertUnwindSafe(|| one.as_mut().poll(context));
                    catch_unwind(poll).unwrap_or_else(|panic| {
                        self.caught(&*panic);
                        Poll::Ready(())
                    })
                })
                .await;
                drop(one);
                self.look();
            }
        })
    }

    async fn one(&self, step: &Step) {
        match step {
            Step::Ask(around, query) => {
                self.ask(around, self.of(around), *query, true).await;
            }
            Step::Operation(around, turns, works) => {
                let (turns, works) = (*turns, *works);
                let operation = self.of(around).operation("COPY orders", |_| work(turns, works));
                self.does(around, "COPY", true, operation).await;
            }
            Step::Begin(around, inside, last, over) => {
                let begins = self.of(around).begin();
                if let Some(begun) = self.does(around, "BEGIN", true, begins).await.ok() {
                    self.within(begun, &Cell::new(1), inside, last, *over).await;
                }
            }
            Step::TryBegin(around, inside, last, over) => {
                let (id, ran) = self.ran(around, self.of(around).try_begin()).await;
                let is_tried = !matches!(ran, Ran::Ended(Ok(None)));
                let ending = ran.ending(|_| Ending::Ok(None)).filter(|_| is_tried);
                self.world.lock().unwrap().loans += u64::from(ending.is_some());
                self.done((id, around, &ran), None, ending.map(|it| ("BEGIN", it)));
                if let Some(begun) = ran.ok().flatten() {
                    self.within(begun, &Cell::new(1), inside, last, *over).await;
                }
            }
            Step::Acquire(around, inside, last, back) => {
                let (id, ran) = self.ran(around, self.of(around).acquire()).await;
                let wait = ran.ending(|_| Ending::Ok(None)).map(Wait::Ended);
                self.done((id, around, &ran), wait, None);
                if let Some(lent) = ran.ok() {
                    self.held(lent, inside, last, *back).await;
                }
            }
            Step::TryAcquire(inside, last, back) => {
                if let Some(lent) = self.of(last).try_acquire() {
                    self.world.lock().unwrap().loans += 1;
                    self.held(lent, inside, last, *back).await;
                }
            }
            Step::OfPool(inside) => self.run(inside).await,
            Step::Join(all, seed) => {
                let mut random = Random(*seed);
                let mut left: Vec<_> = all.iter().map(|inside| self.run(inside)).collect();
                poll_fn(|context| {
                    // Each time all of them, from another one on: nobody says who was woken.
                    let first = random.below(left.len());
                    left.rotate_left(first);
                    left.retain_mut(|task| task.as_mut().poll(context).is_pending());
                    if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            Step::Yield => turn().await,
            Step::Panic => resume_unwind(Box::new(OnPurpose)),
            // It waits for what is held, perhaps by this task: nobody waits for it here.
            Step::Close => drop(self.pool.close()),
        }
    }
}

/// How a database is reached.
struct Reached<DB: Database> {
    options: <DB::Connection as sqlx::Connection>::Options,
    /// What each connection does first.
    first: &'static str,
    patience: Duration,
}

/// Runs a program to its end: when all is given back, what its pool is made of.
fn run_program<DB>(seed: u64, reached: &Reached<DB>, handle: &Handle) -> (Program<DB>, (u64, u64))
where
    DB: Asked,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let mut random = Random(seed);
    let closes = random.below(2) == 0;
    let first = reached.first;
    let options = PoolOptions::<DB>::new()
        .max_connections(1 + random.below(3) as u32)
        .acquire_timeout(reached.patience)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(first).await.map(drop) })
        });
    let _entered = handle.enter();
    let pool =
        redspan::sqlx::traced(options.connect_lazy_with(reached.options.clone())).named(POOL);
    let silent = pool.clone().waits_from(LONG);
    let program = Program { pool, silent, world: Mutex::default() };
    let tasks: Vec<Steps> =
        (0..=random.below(4)).map(|_| steps(&mut random, closes, DEEP)).collect();
    if std::env::var_os("REDSPAN_PROGRAM").is_some() {
        println!("{tasks:#?}");
    }
    thread::scope(|scope| {
        for task in &tasks {
            let program = &program;
            scope.spawn(move || {
                handle.block_on(program.run(task));
                program.look();
            });
        }
    });
    let leaked = program.world.lock().unwrap().leaked;
    handle.block_on(async {
        if program.pool.is_closed() {
            program.pool.close().await;
        }
        // Connections go back in the background.
        let began = Instant::now();
        let idle = || program.pool.num_idle() as u64;
        while u64::from(program.pool.size()).checked_sub(leaked) != Some(idle()) {
            if began.elapsed() > LONG {
                program.is_wrong("a connection never came back");
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let size = u64::from(program.pool.size());
    (program, (size, leaked))
}

fn run_programs<DB>(reached: &Reached<DB>, usually: u64)
where
    DB: Asked,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let kept = Kept::default();
    // sqlx has much to say of transactions that were given up.
    let quiet = redspan::log::layer().with_writer(std::io::sink());
    let all = parent_based(trace_id_ratio(1.0));
    let telemetry =
        redspan::builder().spans_to(kept.clone()).sampler(all).logs(quiet).install().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let (mut before, mut all) = (Numbers::default(), Expected::default());
    for seed in seeds("REDSPAN_PROGRAM", "REDSPAN_PROGRAMS", usually) {
        let (program, state) = run_program(seed, reached, runtime.handle());
        let page = Numbers::of_page(&redspan::recorder().render_openmetrics());
        let mut world = std::mem::take(&mut *program.world.lock().unwrap());
        drop(program);
        assert!(telemetry.flush(LONG));
        let mut below = Below::new();
        for span in std::mem::take(&mut *kept.0.lock().unwrap()) {
            // An error's message is the database's own, and quotes what it will.
            let values = span.attributes.iter().map(|it| it.value.to_string());
            if values.chain([span.name.to_string()]).any(|it| it.contains(&SECRET.to_string())) {
                world.wrong.push(format!("a value is shown: {}", shown([&span])));
            }
            below.entry(span.parent_span_id).or_default().push(span);
        }
        let mut expected = Expected { loans: (world.loans, 0), ..Expected::default() };
        for done in &world.done {
            world.wrong.extend(expected.add(done, &mut below).err());
        }
        if !below.is_empty() {
            world.wrong.push(format!("nobody began {}", shown(below.values().flatten())));
        }
        world.wrong.extend(expected.compared(&page.since(&before), state));
        assert!(world.wrong.is_empty(), "REDSPAN_PROGRAM={seed}: {}", world.wrong.join("\n"));
        before = page;
        all.spans += expected.spans;
        all.timeouts += expected.timeouts;
        for (operation, count) in expected.operations {
            *all.operations.entry(operation).or_default() += count;
        }
    }
    assert_eq!(Arc::strong_count(&HELD), 1, "a context is still held");
    assert!(catalog().all(|site| site.red().in_flight() == 0));
    println!("{all:#?}");
}

/// Makes what is asked, once for all connections.
fn make<DB>(reached: &Reached<DB>)
where
    DB: Asked,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection = reached.options.connect().await.unwrap();
        connection.execute(MADE).await.unwrap();
    });
}

#[test]
fn whatever_a_program_asks_of_sqlite_spans_and_numbers_say_what_it_was_told() {
    let test = "whatever_a_program_asks_of_sqlite_spans_and_numbers_say_what_it_was_told";
    process::alone(test, &[], || {
        // Each connection has a database of its own, in memory: nobody waits for another's transaction.
        let reached = Reached::<Sqlite> {
            options: SqliteConnectOptions::new().disable_statement_logging(),
            first: MADE,
            patience: Duration::from_millis(10),
        };
        run_programs(&reached, 200);
    });
}

#[test]
fn whatever_a_program_asks_of_postgres_spans_and_numbers_say_what_it_was_told() {
    let test = "whatever_a_program_asks_of_postgres_spans_and_numbers_say_what_it_was_told";
    if !Postgres::is_there() {
        return;
    }
    process::alone(test, &[], || {
        let postgres = Postgres::start();
        let options = postgres.url().parse::<PgConnectOptions>().unwrap();
        let options = options.disable_statement_logging();
        // A task may wait for what its own transaction has locked.
        let options = options.options([("lock_timeout", "50ms")]);
        let reached =
            Reached::<Pg> { options, first: "SELECT 1", patience: Duration::from_millis(100) };
        make(&reached);
        run_programs(&reached, 60);
    });
}

#[test]
fn whatever_a_program_asks_of_mariadb_spans_and_numbers_say_what_it_was_told() {
    let test = "whatever_a_program_asks_of_mariadb_spans_and_numbers_say_what_it_was_told";
    if !MariaDb::is_there() {
        return;
    }
    process::alone(test, &[], || {
        let server = MariaDb::start();
        let options = server.url().parse::<MySqlConnectOptions>().unwrap();
        let reached = Reached::<MySql> {
            options: options.disable_statement_logging(),
            // A task may ask for what its own transaction has locked.
            first: "SET innodb_lock_wait_timeout = 0",
            patience: Duration::from_millis(50),
        };
        make(&reached);
        run_programs(&reached, 40);
    });
}
