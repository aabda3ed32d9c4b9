//! What a query through the wrapper allocates on the thread that asks, beside what sqlx's own pool does.

use redspan::instrumented;
use redspan::sample::{Decision, Sampling, parent_based};
use redspan_tests::Discard;
use redspan_tests::counting::{self, Counting};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Executor, Sqlite};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static SAMPLED: Cell<bool> = const { Cell::new(false) };
}

/// Queries of each kind in a round.
const CALLS: usize = 100;

/// So many rounds at least, and at most: how often this thread waits for SQLite's is chance, and costs as well.
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=30;

#[instrumented]
async fn caller<T>(work: impl Future<Output = T>) -> T {
    work.await
}

/// The fewest of many queries.
async fn fewest<P, F>(pool: P, query: impl Fn(P) -> F) -> i64
where
    P: Copy,
    F: Future<Output = ()>,
{
    let mut fewest = i64::MAX;
    for _ in 0..CALLS {
        let work = async {
            let before = counting::allocations();
            query(pool).await;
            counting::allocations() - before
        };
        let allocated = caller(work).await;
        fewest = fewest.min(i64::try_from(allocated).unwrap());
    }
    fewest
}

async fn execute<'p, P: Executor<'p, Database = Sqlite>>(pool: P) {
    sqlx::query("UPDATE t SET a = a + $1").bind(1).execute(pool).await.unwrap();
}

async fn fetch_one<'p, P: Executor<'p, Database = Sqlite>>(pool: P) {
    let query = sqlx::query_scalar::<_, i64>("SELECT a FROM t WHERE a > $1");
    query.bind(0).fetch_one(pool).await.unwrap();
}

async fn fetch_all<'p, P: Executor<'p, Database = Sqlite>>(pool: P) {
    let query = sqlx::query("SELECT a FROM t WHERE a > $1");
    pool.fetch_all(query.bind(0)).await.unwrap();
}

/// A pool, and the same one wrapped.
type Pools = (sqlx::Pool<Sqlite>, redspan::sqlx::Pool<Sqlite>);

async fn pools() -> Pools {
    let bare = SqlitePoolOptions::new().max_connections(1).min_connections(1);
    let bare = bare.connect("sqlite::memory:").await.unwrap();
    bare.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (17)").await.unwrap();
    (bare.clone(), redspan::sqlx::traced(bare))
}

/// What each kind of query allocates: without the wrapper, through it, and recorded.
async fn round((bare, ours): &Pools) -> [[i64; 3]; 3] {
    SAMPLED.set(false);
    let bare =
        [fewest(bare, execute).await, fewest(bare, fetch_one).await, fewest(bare, fetch_all).await];
    let mut through = [[0; 3]; 2];
    for (sampled, fewest_of) in [false, true].into_iter().zip(&mut through) {
        SAMPLED.set(sampled);
        *fewest_of = [
            fewest(ours, execute).await,
            fewest(ours, fetch_one).await,
            fewest(ours, fetch_all).await,
        ];
    }
    let [unsampled, sampled] = through;
    [bare, unsampled, sampled]
}

#[test]
fn a_query_allocates_at_most_one_piece_more_than_without_us_and_few_if_it_is_recorded() {
    let by_thread = |_: &Sampling<'_>| match SAMPLED.get() {
        true => Decision::Sample,
        false => Decision::Drop,
    };
    let telemetry =
        redspan::builder().spans_to(Discard).sampler(parent_based(by_thread)).install().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pools = runtime.block_on(pools());
    let mut fewest = [[i64::MAX; 3]; 3];
    for done in 1..=*ROUNDS.end() {
        let round = runtime.block_on(round(&pools));
        for (known, seen) in fewest.as_flattened_mut().iter_mut().zip(round.as_flattened()) {
            *known = (*known).min(*seen);
        }
        let [bare, unsampled, sampled] = fewest;
        let one_more = (0..3).all(|kind| unsampled[kind] <= bare[kind] + 1);
        // Of each of its two spans OpenTelemetry's two pieces, what is rare, and the values measured; the rows; and
        // the caller's span has a value as well. Most come again once the spans were exported.
        let few_more = (0..3).all(|kind| sampled[kind] - unsampled[kind] <= 12);
        if done >= *ROUNDS.start() && one_more && few_more {
            drop(telemetry);
            return;
        }
    }
    panic!("bare, unsampled, sampled: {fewest:?}");
}
