//! Queries, transactions and connections of sqlx 0.9 as client spans and metrics, for PostgreSQL, MySQL and SQLite.
//!
//! ```no_run
//! # async fn shop() -> Result<(), sqlx::Error> {
//! let pool = sqlx::PgPool::connect("postgres://localhost/shop").await?;
//! let pool = redspan::sqlx::traced(pool);
//!
//! let name: String = sqlx::query_scalar("SELECT name FROM users WHERE id = $1")
//!     .bind(17)
//!     .fetch_one(&pool)
//!     .await?;
//!
//! let mut transaction = pool.begin().await?;
//! sqlx::query("UPDATE users SET visits = visits + 1").execute(&mut *transaction).await?;
//! transaction.commit().await?;
//! # let _ = name;
//! # Ok(())
//! # }
//! ```
//!
//! One call wraps the pool; everything that takes an [`Executor`](https://docs.rs/sqlx/0.9/sqlx/trait.Executor.html) goes on as before: the
//! functions and macros `query…`, `QueryBuilder`, streams, and functions that are generic over it.
//!
//! # In a service that has its queries already
//!
//! The wrapped pool is of a type of its own, and so is what it lends. Where a struct, a `State` or a function names
//! sqlx's, name these; the queries stay as they are:
//!
//! | in place of | write | called with |
//! |---|---|---|
//! | `sqlx::PgPool` | `redspan::sqlx::Pool<Postgres>`, once, under that name | `&pool` |
//! | `sqlx::Transaction<'_, Postgres>` | `redspan::sqlx::Transaction<'_, Postgres>` | `&mut transaction`, `transaction` |
//! | `&mut PgConnection`, for one query | `impl PgExecutor<'_>` | `&pool`, `&mut *transaction` |
//! | `&mut PgConnection`, for several | `&mut Connection<impl Held<Database = Postgres>>` | `&mut transaction`, `&mut connection` |
//!
//! ```no_run
//! use redspan::instrumented;
//! use redspan::sqlx::{Connection, Held, Transaction};
//! use sqlx::{PgExecutor, Postgres};
//!
//! type PgPool = redspan::sqlx::Pool<Postgres>;
//!
//! struct Users {
//!     pool: PgPool,
//! }
//!
//! #[instrumented]
//! impl Users {
//!     async fn rename(&self, id: i64, name: &str) -> sqlx::Result<Transaction<'static, Postgres>> {
//!         let mut transaction = self.pool.begin().await?;
//!         if exists(&mut *transaction, id).await? {
//!             write(&mut transaction, id, name).await?;
//!         }
//!         Ok(transaction)
//!     }
//! }
//!
//! #[instrumented]
//! async fn exists(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
//!     sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)").bind(id).fetch_one(db).await
//! }
//!
//! #[instrumented]
//! async fn write(
//!     db: &mut Connection<impl Held<Database = Postgres>>,
//!     id: i64,
//!     name: &str,
//! ) -> sqlx::Result<()> {
//!     sqlx::query("UPDATE users SET name = $2 WHERE id = $1").bind(id).bind(name).execute(&mut *db).await?;
//!     sqlx::query("INSERT INTO renamed (id) VALUES ($1)").bind(id).execute(db).await?;
//!     Ok(())
//! }
//! ```
//!
//! What still takes sqlx's own pool or connection compiles as well, and is [not seen](#what-is-not-seen); where a pool is
//! taken by value, as other crates do, `(*pool).clone()` is sqlx's own.
//!
//! # Spans
//!
//! By OpenTelemetry's [conventions for databases][spans]: named by the verb and the first table, or the one
//! that it changes (`SELECT users`), or by the procedure that is called (`CALL close_day`), of several statements in one
//! text by the first, with `db.system.name`, `db.namespace`, `db.operation.name`, `db.collection.name`,
//! `db.stored_procedure.name`, `db.query.summary`, `server.address`, `server.port`, `db.response.returned_rows`, and `db.query.text` in which every literal is a `?`
//! (with SQLite also what stands in double quotes, unless a table's name has to stand there: it may be a string)
//! and comments are left out; `TRUE` and `FALSE` stay, and bound values are never shown. `BEGIN`, `COMMIT` and `ROLLBACK`, or
//! `SAVEPOINT`, `RELEASE SAVEPOINT` and `ROLLBACK TO SAVEPOINT` within a transaction, are spans of their own, and so are what
//! `prepare` and `describe` ask of a query that does not run yet (`PREPARE users`, `DESCRIBE users`), and
//! each wait for a connection (`acquire shop`), or each that is long enough ([`Pool::waits_from`]).
//!
//! An operation ends as
//!
//! * `ok`, also when `fetch_one` finds no row: the database has answered;
//! * `error`: `error.type` and `db.response.status_code` are the SQLSTATE, if the database sent one, and of MySQL
//!   and MariaDB the server's error number;
//!   otherwise `error.type` is `io`, `tls`, `protocol`, `pool_timed_out`, `pool_closed`, `worker_crashed`,
//!   `decode`, `encode`, …;
//! * `cancelled`, when its future is dropped, or its stream before that has said that there are no more rows.
//!
//! It begins when its connection is there. What is asked of the pool and gets none, since the wait fails or is given up,
//! has ended as the wait has, and lasted as long.
//!
//! An error's message is the database's own, and may quote a value (`Duplicate entry 'ann@example.com'`), or the query itself,
//! as MySQL and MariaDB do where it is not understood (`syntax to use near 'WHER name = 'ann''`):
//! [`redact`](crate::redact) is asked about it as about any other error's.
//!
//! # Metrics
//!
//! In whatever recorder is installed, by the [conventions][metrics]: `db.client.operation.duration` (s), and of
//! the pool `db.client.connection.count` (by `db.client.connection.state`), `.max`, `.pending_requests`, `.timeouts`,
//! `.wait_time` (s, also of waits that failed or were given up), `.use_time` (s). Redspan's own recorder asks the pool for the counts whenever somebody looks;
//! others learn them whenever a connection is lent out or given back, and when the pool is closed.
//!
//! # What is not seen
//!
//! Whatever is given the pool or the connection below: a function that wants a `&PgPool` takes `&pool`, and the compiler says
//! nothing of it; `&mut transaction`, where one wants a `&mut PgConnection`; [`as_sqlx_mut`](Connection::as_sqlx_mut), where
//! it wants sqlx's own transaction; and what sqlx's own `Acquire` borrows or begins, as migrations do. Make such functions
//! generic over `Executor`, or let them take a [`Pool`] or a [`Connection`]. Nor is `COPY`, which is sent by methods of the
//! pool and of the connection below: [`Pool::operation`] and [`Connection::operation`] make one operation of it, as of any
//! function that takes that connection. Nor is what a `PgListener` waits for, or the rollback of a transaction that is
//! dropped.
//!
//! sqlx also logs by itself, with the literals: each query at `debug`, slow ones at `warn`. Where they
//! are secret, use `ConnectOptions::disable_statement_logging`, and [`Pool::slow`] instead.
//!
//! [spans]: https://opentelemetry.io/docs/specs/semconv/database/database-spans/
//! [metrics]: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/

mod acquire;
mod connection;
mod described;
mod executor;
mod operation;
mod place;
mod pool;
mod pooled;
mod statements;
mod text;
mod tokens;

pub use connection::{Connection, Held, PoolConnection, Transaction};
pub use pool::{Pool, traced};
