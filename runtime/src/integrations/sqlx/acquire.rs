//! sqlx's own way to take a pool, a connection or a transaction: migrations ask for it.

use super::connection::{Connection, Held, PoolConnection, Transaction};
use super::pool::Pool;
use futures_core::future::BoxFuture;
use sqlx_core::acquire::Acquire;
use sqlx_core::database::Database;
use sqlx_core::error::Error;
use sqlx_core::{pool, transaction};
use std::future::ready;

type ConnectionOf<H> = <<H as Held>::Database as Database>::Connection;

/// What is borrowed is seen as any connection is, but not the queries: sqlx wants its own connections for them.
impl<'a, DB: Database> Acquire<'a> for &Pool<DB> {
    type Database = DB;
    type Connection = Connection<pool::PoolConnection<DB>>;

    fn acquire(self) -> BoxFuture<'a, Result<Self::Connection, Error>> {
        let lent = Pool::acquire(self);
        Box::pin(async move { Ok(lent.await?.0) })
    }

    fn begin(self) -> BoxFuture<'a, Result<transaction::Transaction<'a, DB>, Error>> {
        Acquire::begin(&self.inner)
    }
}

/// Queries are not seen: sqlx wants its own connections for them.
impl<'a, H: Held> Acquire<'a> for &'a mut Connection<H> {
    type Database = H::Database;
    type Connection = &'a mut ConnectionOf<H>;

    fn acquire(self) -> BoxFuture<'a, Result<Self::Connection, Error>> {
        Box::pin(ready(Ok(self.held.held())))
    }

    fn begin(self) -> BoxFuture<'a, Result<transaction::Transaction<'a, H::Database>, Error>> {
        transaction::Transaction::begin(self.held.held(), None)
    }
}

macro_rules! as_their_connection {
    ($($name:ident<$($lifetime:lifetime)?>;)*) => {$(
        /// Queries are not seen: sqlx wants its own connections for them.
        impl<'a, DB: Database> Acquire<'a> for &'a mut $name<$($lifetime,)? DB> {
            type Database = DB;
            type Connection = &'a mut DB::Connection;

            fn acquire(self) -> BoxFuture<'a, Result<Self::Connection, Error>> {
                Acquire::acquire(&mut self.0)
            }

            fn begin(self) -> BoxFuture<'a, Result<transaction::Transaction<'a, DB>, Error>> {
                Acquire::begin(&mut self.0)
            }
        }
    )*};
}

as_their_connection! {
    PoolConnection<>;
    Transaction<'_>;
}
