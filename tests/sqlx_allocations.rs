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

const CALLS: usize = 200;

#[instrumented]
async fn caller<T>(work: impl Future<Output = T>) -> T {
    work.await
}

/// The fewest of many queries: how often this thread waits for SQLite's is chance, and costs as well.
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

/// What the wrapper adds to each kind of query.
async fn added(sampled: bool) -> [i64; 3] {
    SAMPLED.set(sampled);
    let bare = SqlitePoolOptions::new().max_connections(1).min_connections(1);
    let bare = bare.connect("sqlite::memory:").await.unwrap();
    bare.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (17)").await.unwrap();
    let ours = redspan::sqlx::traced(bare.clone());
    let (bare, ours) = (&bare, &ours);
    [
        fewest(ours, execute).await - fewest(bare, execute).await,
        fewest(ours, fetch_one).await - fewest(bare, fetch_one).await,
        fewest(ours, fetch_all).await - fewest(bare, fetch_all).await,
    ]
}

#[test]
fn a_query_allocates_no_more_than_without_us_and_few_pieces_more_if_it_is_recorded() {
    let by_thread = |_: &Sampling<'_>| match SAMPLED.get() {
        true => Decision::Sample,
        false => Decision::Drop,
    };
    let telemetry =
        redspan::builder().spans_to(Discard).sampler(parent_based(by_thread)).install().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [unsampled, sampled] = [false, true].map(|sampled| runtime.block_on(added(sampled)));
    assert!(unsampled.iter().all(|&added| added <= 0), "{unsampled:?}");
    // Of each of its two spans OpenTelemetry's two pieces, what is rare, and the values measured; the rows; and
    // the caller's span has a value as well. Most come again once the spans were exported.
    let recorded = sampled.iter().zip(&unsampled).map(|(sampled, unsampled)| sampled - unsampled);
    assert!(recorded.clone().all(|added| added <= 12), "{:?}", recorded.collect::<Vec<_>>());
    drop(telemetry);
}
