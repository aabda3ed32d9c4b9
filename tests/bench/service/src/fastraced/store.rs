//! The database: each query and each wait for a connection in a span of its own.

use crate::bare::shop::{Cents, Order};
use crate::bare::store::Store;
use async_trait::async_trait;
use fastrace::prelude::*;
use sqlx::pool::{PoolConnection, PoolOptions};

pub(super) struct Postgres {
    pool: sqlx::Pool<sqlx::Postgres>,
    host: String,
    port: u16,
}

impl Postgres {
    pub(super) async fn open(connections: u32, url: &str) -> Result<Self, sqlx::Error> {
        // The tables are made as they are for all.
        crate::bare::store::Postgres::open(1, url).await?;
        let pool =
            PoolOptions::<sqlx::Postgres>::new().max_connections(connections).connect(url).await?;
        let (host, port) = {
            let options = pool.connect_options();
            (options.get_host().to_owned(), options.get_port())
        };
        Ok(Postgres { pool, host, port })
    }

    async fn acquire(&self) -> Result<PoolConnection<sqlx::Postgres>, sqlx::Error> {
        let span = Span::enter_with_local_parent("acquire shop");
        span.add_properties(|| {
            [
                ("db.system.name", String::from("postgresql")),
                ("db.namespace", String::from("postgres")),
                ("server.address", self.host.clone()),
                ("server.port", self.port.to_string()),
                ("db.client.connection.pool.name", String::from("shop")),
            ]
        });
        self.pool.acquire().in_span(span).await
    }

    async fn query<T>(
        &self,
        operation: &'static str,
        table: &'static str,
        text: &'static str,
        query: impl Future<Output = Result<T, sqlx::Error>> + Send,
    ) -> Result<T, sqlx::Error> {
        let span = Span::enter_with_local_parent(format!("{operation} {table}"));
        span.add_properties(|| {
            [
                ("span.kind", String::from("client")),
                ("db.system.name", String::from("postgresql")),
                ("db.namespace", String::from("postgres")),
                ("server.address", self.host.clone()),
                ("server.port", self.port.to_string()),
                ("db.operation.name", operation.to_owned()),
                ("db.query.summary", format!("{operation} {table}")),
                ("db.collection.name", table.to_owned()),
                ("db.query.text", text.to_owned()),
                ("db.response.returned_rows", String::from("1")),
            ]
        });
        query.in_span(span).await
    }
}

#[async_trait]
impl Store for Postgres {
    #[fastrace::trace(properties = { "item": "{item}" })]
    async fn price(&self, item: &str) -> Result<Cents, sqlx::Error> {
        let price = async {
            let text = "SELECT cents FROM items WHERE name = $1";
            let mut connection = self.acquire().await?;
            let query = sqlx::query_scalar(text).bind(item).fetch_one(&mut *connection);
            self.query("SELECT", "items", text, query).await
        };
        price.await
    }

    #[fastrace::trace]
    async fn save(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
        let saved = async {
            let text = "INSERT INTO orders (id, item, cents) VALUES ($1, $2, $3)";
            let mut connection = self.acquire().await?;
            let query = sqlx::query(text).bind(order.id).bind(&order.item).bind(price);
            let query = query.execute(&mut *connection);
            self.query("INSERT", "orders", text, query).await.map(drop)
        };
        saved.await
    }

    async fn take_back(&self, _: i64) -> Result<Cents, sqlx::Error> {
        Err(sqlx::Error::RowNotFound)
    }

    async fn report(&self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn exhaust(&self) {}
}
