//! An `async fn` may leave out names of lifetimes where other functions may not.
#![deny(warnings)]

use redspan::instrumented;
use std::borrow::Cow;

trait Executor<'c> {
    fn rows(self) -> usize;
}

impl Executor<'_> for &u8 {
    fn rows(self) -> usize {
        usize::from(*self)
    }
}

#[instrumented]
async fn count(db: impl Executor<'_>) -> usize {
    db.rows()
}

#[instrumented(fields(db.namespace = name))]
async fn named(name: &str, db: impl Executor<'_> + Send) -> Result<usize, std::fmt::Error> {
    Ok(name.len() + db.rows())
}

#[instrumented]
async fn longest(words: impl IntoIterator<Item = &str>) -> usize {
    words.into_iter().map(str::len).max().unwrap_or(0)
}

#[instrumented]
async fn of_nested(words: Option<(u8, impl AsRef<[Cow<'_, str>]>)>) -> usize {
    words.map_or(0, |(_, words)| words.as_ref().len())
}

#[instrumented]
async fn how_many(of: impl IntoIterator<Item = *const (&str, u32)>) -> usize {
    of.into_iter().count()
}

#[instrumented]
async fn called(with: impl Fn(&str) -> usize, other: impl AsyncFn(&u8)) -> usize {
    other(&1).await;
    with("abc")
}

trait Store {
    async fn all(&self, db: impl Executor<'_>) -> &str;
}

struct Users(&'static str);

#[instrumented]
impl Users {
    async fn first(&self, db: impl Executor<'_>) -> &str {
        &self.0[..db.rows()]
    }
}

#[instrumented]
impl Store for Users {
    async fn all(&self, db: impl Executor<'_>) -> &str {
        &self.0[db.rows()..]
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(count(&2).await, 2);
    assert_eq!(named("shop", &2).await, Ok(6));
    assert_eq!(longest(["a", "bcd"]).await, 3);
    assert_eq!(of_nested(Some((1, [Cow::Borrowed("a")]))).await, 1);
    let pair = ("a", 7);
    assert_eq!(how_many([&raw const pair]).await, 1);
    assert_eq!(called(str::len, async |_| ()).await, 3);
    let users = Users("ann, bob");
    assert_eq!((users.first(&3).await, users.all(&5).await), ("ann", "bob"));
}
