//! What sqlx's own pools, connections and transactions can be asked for, the wrapped ones can, too.

use redspan::sqlx::{Pool, PoolConnection, Transaction};
use redspan::testing::{self, Seen};
use redspan_tests::postgres::Postgres;
use sqlx::postgres::{PgAdvisoryLock, PgPoolOptions};
use sqlx::{Acquire, Connection, Executor, PgConnection, Postgres as Pg};

async fn connect(postgres: &Postgres, connections: u32) -> Pool<Pg> {
    let options = PgPoolOptions::new().max_connections(connections);
    redspan::sqlx::traced(options.connect(&postgres.url()).await.unwrap())
}

/// The spans' names, without those of waits.
fn names(seen: &Seen) -> Vec<String> {
    let names = seen.spans().iter().map(|span| span.name().to_owned()).collect::<Vec<_>>();
    names.into_iter().filter(|name| !name.starts_with("acquire ")).collect()
}

/// Which process of the server answers.
async fn pid<'c>(connection: impl Executor<'c, Database = Pg>) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}

/// A connection goes back in a task of its own.
async fn is_back(pool: &Pool<Pg>) {
    while pool.num_idle() == 0 {
        tokio::task::yield_now().await;
    }
}

async fn borrowed<'a>(from: impl Acquire<'a, Database = Pg>) -> i32 {
    let mut connection = from.acquire().await.unwrap();
    pid(&mut *connection).await
}

async fn begun<'a>(from: impl Acquire<'a, Database = Pg>) -> i32 {
    let mut transaction = from.begin().await.unwrap();
    let pid = pid(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    pid
}

async fn in_transaction(of: &mut sqlx::Transaction<'_, Pg>) -> i32 {
    pid(&mut **of).await
}

async fn on_loan(from: &mut sqlx::pool::PoolConnection<Pg>) -> i32 {
    pid(&mut **from).await
}

#[tokio::test]
async fn whoever_takes_sqlxs_own_transaction_takes_what_is_below_ours() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1).await;
    let only = pid(&pool).await;
    let ((), seen) = testing::scope_async(async {
        let mut connection = pool.acquire().await.unwrap();
        assert_eq!(on_loan(connection.as_sqlx_mut()).await, only);
        let mut transaction = connection.begin().await.unwrap();
        assert_eq!(in_transaction(transaction.as_sqlx_mut()).await, only);
        let mut nested = transaction.begin().await.unwrap();
        assert_eq!(in_transaction(nested.as_sqlx_mut()).await, only);
        nested.commit().await.unwrap();
        transaction.commit().await.unwrap();
    })
    .await;
    assert_eq!(names(&seen), ["BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT", "COMMIT"]);
}

/// Such as migrations.
#[tokio::test]
async fn whoever_takes_what_sqlx_acquires_takes_what_is_wrapped() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1).await;
    let only = pid(&pool).await;
    assert_eq!((borrowed(&pool).await, begun(&pool).await), (only, only));
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!((borrowed(&mut connection).await, begun(&mut connection).await), (only, only));
    assert_eq!((borrowed(&mut *connection).await, begun(&mut *connection).await), (only, only));
    drop(connection);
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!((borrowed(&mut transaction).await, begun(&mut transaction).await), (only, only));
    transaction.commit().await.unwrap();
}

/// With sqlx's `Acquire` in scope, as here, the same names would be its own.
#[tokio::test]
async fn every_way_to_begin_a_transaction_is_seen_to_its_end() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1).await;
    is_back(&pool).await;
    let (result, seen) = testing::scope_async(async {
        let mut transaction: Transaction<'_, Pg> = pool.try_begin().await?.unwrap();
        assert!(pool.try_begin().await?.is_none());
        let nested: Transaction<'_, Pg> = transaction.begin().await?;
        nested.rollback().await?;
        transaction.commit().await?;
        is_back(&pool).await;

        let read_only = "BEGIN READ ONLY";
        pool.try_begin_with(read_only).await?.unwrap().rollback().await?;
        let mut connection = pool.acquire().await?;
        let begun: Transaction<'_, Pg> = connection.begin().await?;
        begun.commit().await?;
        let begun: Transaction<'_, Pg> = connection.begin_with(read_only).await?;
        begun.commit().await?;
        let within = connection.begin().await?.begin_with(read_only).await.map(drop);
        assert!(matches!(within, Err(sqlx::Error::InvalidSavePointStatement)), "{within:?}");

        let ask = "SELECT 7";
        let seven: i32 = connection
            .transaction(|transaction| {
                Box::pin(async move { sqlx::query_scalar(ask).fetch_one(&mut **transaction).await })
            })
            .await?;
        assert_eq!(seven, 7);
        let failed = connection.transaction(|transaction| {
            Box::pin(async move { transaction.execute("SELECT 1 / 0").await.map(drop) })
        });
        assert!(failed.await.is_err());
        Ok::<_, sqlx::Error>(())
    })
    .await;
    result.unwrap();
    let expected = [
        ["BEGIN", "SAVEPOINT", "ROLLBACK TO SAVEPOINT", "COMMIT"].as_slice(),
        &["BEGIN", "ROLLBACK", "BEGIN", "COMMIT", "BEGIN", "COMMIT"],
        &["BEGIN", "BEGIN"],
        &["BEGIN", "SELECT", "COMMIT", "BEGIN", "SELECT", "ROLLBACK"],
    ];
    assert_eq!(names(&seen), expected.concat());
}

#[tokio::test]
async fn connections_are_locked_detached_and_closed_as_before() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1).await;
    let lock = PgAdvisoryLock::new("a lock");
    let guard = lock.acquire(pool.acquire().await.unwrap()).await.unwrap();
    let connection: PoolConnection<Pg> = guard.release_now().await.unwrap();
    drop(connection);
    let guard = lock.acquire(pool.begin().await.unwrap()).await.unwrap();
    let transaction: Transaction<'_, Pg> = guard.release_now().await.unwrap();
    transaction.commit().await.unwrap();
    // As of sqlx's own, of which `&mut *` is the connection below.
    let mut connection = pool.acquire().await.unwrap();
    lock.acquire(&mut *connection).await.unwrap().release_now().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    lock.acquire(&mut *transaction).await.unwrap().release_now().await.unwrap();
    transaction.commit().await.unwrap();
    drop(connection);

    let first = pid(&pool).await;
    pool.acquire().await.unwrap().close().await.unwrap();
    let second = pid(&pool).await;
    pool.acquire().await.unwrap().close_on_drop();
    let third = pid(&pool).await;
    let mut detached: PgConnection = pool.acquire().await.unwrap().detach();
    let fourth = pid(&pool).await;
    assert_eq!(pid(&mut detached).await, third);
    detached.close().await.unwrap();
    assert!(first != second && second != third && third != fourth);
    let mut leaked: PgConnection = pool.acquire().await.unwrap().leak();
    assert_eq!((pid(&mut leaked).await, pool.try_acquire().is_none()), (fourth, true));
}

/// Of whichever database, as sqlx's own documentation has it.
async fn asked<DB>(pool: &sqlx::Pool<DB>)
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    pool.acquire().await.unwrap().execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn functions_over_sqlxs_databases_are_called_as_before() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    asked(&pool).await;
    asked(&redspan::sqlx::traced(pool)).await;
}
