//! The database: each query and each wait for a connection in a span of its own, and measured.

use super::counted;
use crate::bare::shop::{Cents, Order};
use crate::bare::store::Store;
use async_trait::async_trait;
use sqlx::pool::{PoolConnection, PoolOptions};
use std::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

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
        let span = info_span!(
            "acquire shop",
            db.system.name = "postgresql",
            db.namespace = "postgres",
            server.address = self.host,
            server.port = i64::from(self.port),
            db.client.connection.pool.name = "shop",
        );
        metrics::gauge!("db_client_connection_pending_requests", "pool" => "shop").increment(1.0);
        let started = Instant::now();
        let connection = self.pool.acquire().instrument(span).await;
        metrics::gauge!("db_client_connection_pending_requests", "pool" => "shop").decrement(1.0);
        metrics::histogram!("db_client_connection_wait_time_seconds", "pool" => "shop")
            .record(started.elapsed().as_secs_f64());
        let used = f64::from(self.pool.size()) - self.pool.num_idle() as f64;
        metrics::gauge!("db_client_connection_count", "pool" => "shop", "state" => "used")
            .set(used);
        connection
    }

    async fn query<T>(
        &self,
        operation: &'static str,
        table: &'static str,
        text: &'static str,
        query: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let span: Span = info_span!(
            "query",
            otel.name = format!("{operation} {table}"),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = "postgres",
            server.address = self.host,
            server.port = i64::from(self.port),
            db.operation.name = operation,
            db.query.summary = format!("{operation} {table}"),
            db.collection.name = table,
            db.query.text = text,
            db.response.returned_rows = Empty,
            error.type = Empty,
        );
        let started = Instant::now();
        let result = query.instrument(span.clone()).await;
        let took = started.elapsed().as_secs_f64();
        match &result {
            Ok(_) => {
                span.record("db.response.returned_rows", 1);
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", error.to_string());
            }
        }
        let labels = [
            ("db_system_name", String::from("postgresql")),
            ("db_operation_name", operation.to_owned()),
            ("db_collection_name", table.to_owned()),
            ("db_namespace", String::from("postgres")),
            ("server_address", self.host.clone()),
            ("server_port", self.port.to_string()),
        ];
        metrics::histogram!("db_client_operation_duration_seconds", &labels).record(took);
        result
    }
}

#[async_trait]
impl Store for Postgres {
    #[tracing::instrument(skip_all, err, fields(item))]
    async fn price(&self, item: &str) -> Result<Cents, sqlx::Error> {
        let price = async {
            let text = "SELECT cents FROM items WHERE name = $1";
            let mut connection = self.acquire().await?;
            let query = sqlx::query_scalar(text).bind(item).fetch_one(&mut *connection);
            self.query("SELECT", "items", text, query).await
        };
        counted!("price", price.await)
    }

    #[tracing::instrument(skip_all, err)]
    async fn save(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
        let saved = async {
            let text = "INSERT INTO orders (id, item, cents) VALUES ($1, $2, $3)";
            let mut connection = self.acquire().await?;
            let query = sqlx::query(text).bind(order.id).bind(&order.item).bind(price);
            let query = query.execute(&mut *connection);
            self.query("INSERT", "orders", text, query).await.map(drop)
        };
        counted!("save", saved.await)
    }

    async fn take_back(&self, _: i64) -> Result<Cents, sqlx::Error> {
        Err(sqlx::Error::RowNotFound)
    }

    async fn report(&self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn exhaust(&self) {}
}
