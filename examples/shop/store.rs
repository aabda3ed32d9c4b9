//! The shop's database: PostgreSQL, or SQLite where that is not installed. The same queries on both.

use crate::shop::{Cents, Order};
use async_trait::async_trait;
use redspan::instrumented;
use redspan::sqlx::Pool;

/// What the shop asks of its database.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    async fn price(&self, item: &str) -> Result<Cents, sqlx::Error>;
    async fn save(&self, order: &Order, price: Cents) -> Result<i64, sqlx::Error>;
    /// A report that nobody should have asked for.
    async fn report(&self) -> Result<(), sqlx::Error>;
    /// Keeps every connection busy for a moment.
    async fn exhaust(&self);
}

pub(crate) const TABLES: &str = "
    CREATE TABLE items (name TEXT PRIMARY KEY, cents BIGINT NOT NULL);
    CREATE TABLE orders (id BIGINT PRIMARY KEY, item TEXT NOT NULL, cents BIGINT NOT NULL);
    INSERT INTO items VALUES ('tea', 450), ('coffee', 990), ('cake', 320);
";

macro_rules! store_on {
    ($name:ident, $database:ty, slow: $slow:literal) => {
        pub(crate) struct $name(pub(crate) Pool<$database>);

        #[async_trait]
        #[instrumented]
        impl Store for $name {
            #[instrumented(fields(item))]
            async fn price(&self, item: &str) -> Result<Cents, sqlx::Error> {
                let price = sqlx::query_scalar("SELECT cents FROM items WHERE name = $1");
                price.bind(item).fetch_one(&self.0).await
            }

            async fn save(&self, order: &Order, price: Cents) -> Result<i64, sqlx::Error> {
                let mut transaction = self.0.begin().await?;
                sqlx::query("INSERT INTO orders (id, item, cents) VALUES ($1, $2, $3)")
                    .bind(order.id)
                    .bind(&order.item)
                    .bind(price)
                    .execute(&mut *transaction)
                    .await?;
                let orders = sqlx::query_scalar("SELECT count(*) FROM orders WHERE item = $1");
                let orders = orders.bind(&order.item).fetch_one(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(orders)
            }

            async fn report(&self) -> Result<(), sqlx::Error> {
                sqlx::query($slow).execute(&self.0).await.map(drop)
            }

            async fn exhaust(&self) {
                let mut held = Vec::new();
                for _ in 0..self.0.options().get_max_connections() {
                    held.extend(self.0.acquire().await.ok());
                }
                tokio::time::sleep(std::time::Duration::from_millis(900)).await;
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
