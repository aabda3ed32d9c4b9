//! The shop's database: PostgreSQL, or SQLite where that is not installed. The same queries on both.

use super::shop::{Cents, Order};
use async_trait::async_trait;
use sqlx::Executor;
use sqlx::pool::PoolOptions;
use std::time::Duration;

/// What the shop asks of its database.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    async fn price(&self, item: &str) -> Result<Cents, sqlx::Error>;
    async fn save(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error>;
    /// Undoes an order, and says what is to be paid back.
    async fn take_back(&self, id: i64) -> Result<Cents, sqlx::Error>;
    /// A report that nobody should have asked for.
    async fn report(&self) -> Result<(), sqlx::Error>;
    /// Keeps every connection busy for a moment.
    async fn exhaust(&self);
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, cents BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS orders (id BIGINT PRIMARY KEY, item TEXT NOT NULL, cents BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS returns (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL);
    INSERT INTO items VALUES ('tea', 450), ('coffee', 990), ('cake', 320) ON CONFLICT DO NOTHING;
";

/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_millis(500);

macro_rules! store_on {
    ($name:ident, $database:ty, slow: $slow:literal) => {
        pub(crate) struct $name(sqlx::Pool<$database>);

        impl $name {
            pub(crate) async fn open(connections: u32, url: &str) -> Result<Self, sqlx::Error> {
                let pool = PoolOptions::<$database>::new().max_connections(connections);
                let pool = pool.acquire_timeout(WAIT).connect(url).await?;
                pool.execute(TABLES).await?;
                Ok($name(pool))
            }
        }

        #[async_trait]
        impl Store for $name {
            async fn price(&self, item: &str) -> Result<Cents, sqlx::Error> {
                let price = sqlx::query_scalar("SELECT cents FROM items WHERE name = $1");
                price.bind(item).fetch_one(&self.0).await
            }

            async fn save(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
                let query = sqlx::query("INSERT INTO orders (id, item, cents) VALUES ($1, $2, $3)");
                let query = query.bind(order.id).bind(&order.item).bind(price);
                query.execute(&self.0).await.map(drop)
            }

            async fn take_back(&self, id: i64) -> Result<Cents, sqlx::Error> {
                let mut transaction = self.0.begin().await?;
                let paid = sqlx::query_scalar("DELETE FROM orders WHERE id = $1 RETURNING cents");
                let paid: Cents = paid.bind(id).fetch_one(&mut *transaction).await?;
                let back = sqlx::query("INSERT INTO returns (id, cents) VALUES ($1, $2)");
                back.bind(id).bind(paid).execute(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(paid)
            }

            async fn report(&self) -> Result<(), sqlx::Error> {
                sqlx::query($slow).execute(&self.0).await.map(drop)
            }

            async fn exhaust(&self) {
                let mut held = Vec::new();
                for _ in 0..self.0.options().get_max_connections() {
                    held.extend(self.0.acquire().await.ok());
                }
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
        }
    };
}

store_on!(Postgres, sqlx::Postgres, slow: "SELECT pg_sleep(0.4)");
store_on!(
    Sqlite,
    sqlx::Sqlite,
    slow: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) \
           SELECT count(*) FROM n"
);
