//! The shop's database where there is none: the same number of spans, and next to no work.

/// What a variant without numbers by hand does around a function.
macro_rules! as_it_is {
    ($name:literal, $body:expr) => {
        $body
    };
}
pub(crate) use as_it_is;

/// A store whose functions carry `attribute` and are counted by `counted` (those that are `async`, by
/// `counted_async`). Four of them do what the database's four spans would.
macro_rules! memory_store {
    ([$($attribute:meta)?], $counted:ident, $counted_async:ident) => {
        pub(crate) struct Memory {
            prices: std::collections::HashMap<&'static str, Cents>,
            orders: std::sync::Mutex<std::collections::VecDeque<(i64, Cents)>>,
        }

        impl Memory {
            pub(crate) fn new() -> Self {
                Memory {
                    prices: [("tea", 450), ("coffee", 990), ("cake", 320)].into(),
                    orders: std::sync::Mutex::default(),
                }
            }

            $(#[$attribute])?
            fn find(&self, item: &str) -> Result<Cents, sqlx::Error> {
                $counted!("find", self.prices.get(item).copied().ok_or(sqlx::Error::RowNotFound))
            }

            $(#[$attribute])?
            fn check(&self, price: Cents) -> Result<Cents, sqlx::Error> {
                $counted!("check", if price > 0 { Ok(price) } else { Err(sqlx::Error::RowNotFound) })
            }

            $(#[$attribute])?
            fn make_room(&self) -> Result<(), sqlx::Error> {
                $counted!("make_room", {
                    let mut orders = self.orders.lock().expect("no panic");
                    if orders.len() == 1000 {
                        orders.pop_front();
                    }
                    Ok(())
                })
            }

            $(#[$attribute])?
            fn write(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
                $counted!("write", {
                    self.orders.lock().expect("no panic").push_back((order.id, price));
                    Ok(())
                })
            }

            $(#[$attribute])?
            async fn price_of(&self, item: &str) -> Result<Cents, sqlx::Error> {
                $counted_async!("price", { self.find(item).and_then(|price| self.check(price)) })
            }

            $(#[$attribute])?
            async fn keep(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
                $counted_async!("save", { self.make_room().and_then(|()| self.write(order, price)) })
            }
        }

        #[async_trait::async_trait]
        impl Store for Memory {
            async fn price(&self, item: &str) -> Result<Cents, sqlx::Error> {
                self.price_of(item).await
            }

            async fn save(&self, order: &Order, price: Cents) -> Result<(), sqlx::Error> {
                self.keep(order, price).await
            }

            async fn take_back(&self, _: i64) -> Result<Cents, sqlx::Error> {
                Err(sqlx::Error::RowNotFound)
            }

            async fn report(&self) -> Result<(), sqlx::Error> {
                Ok(())
            }

            async fn exhaust(&self) {}
        }
    };
}
pub(crate) use memory_store;
