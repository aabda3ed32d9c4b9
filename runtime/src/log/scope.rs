//! Fields for all lines of a piece of work.

use std::borrow::Cow;
use std::future::Future;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use opentelemetry::{Context, ContextGuard};

use super::value::Value;
use crate::context::{Follow, current};

/// Fields beyond this are not bound: a loop that adds one in each turn must not grow without bound.
const MAX_FIELDS: usize = 64;

type Pair = (Cow<'static, str>, Value);

/// Fields of different keys. Most scopes have one, which needs no memory of its own.
#[derive(Clone, Debug, Default)]
struct Pairs {
    first: Option<Pair>,
    more: Vec<Pair>,
}

impl Pairs {
    fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.first.iter().chain(&self.more)
    }

    fn set(&mut self, (key, value): Pair) -> bool {
        let mut all = self.first.iter_mut().chain(&mut self.more);
        if let Some((_, held)) = all.find(|(held, _)| *held == key) {
            *held = value;
            return true;
        }
        if self.first.is_none() {
            self.first = Some((key, value));
            return true;
        }
        let fits = self.more.len() + 1 < MAX_FIELDS;
        if fits {
            self.more.push((key, value));
        }
        fits
    }
}

/// Fields that all lines of a piece of work will have; made by [`scope`].
///
/// They live in the OpenTelemetry `Context`, so they follow calls across `.await`, and to tasks and
/// threads by whatever carries the context there ([`redspan::context`](crate::context)).
#[derive(Clone, Debug, Default)]
#[must_use = "a scope does nothing until something runs in it"]
pub struct Scope(Pairs);

/// Starts a scope: lines logged in it, by whomever, have its fields, after their own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// redspan::log::scope()
///     .with("request_id", "r-17")
///     .run(async {
///         tracing::info!("accepted"); // request_id=r-17
///         redspan::log::add("user_id", 42);
///         tracing::info!("known"); // request_id=r-17 user_id=42
///     })
///     .await;
/// # }
/// ```
///
/// A scope within a scope has the outer one's fields too; the same key again hides the outer value.
pub fn scope() -> Scope {
    Scope::default()
}

/// Adds a field to the innermost scope that the caller is in: all its lines from now on have it, also
/// those of other tasks in it. The same key again replaces the value. False, and nothing happens,
/// outside every scope, or when the scope has 64 fields.
pub fn add(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> bool {
    // Before the thread's context is looked at: this is the user's code.
    let (key, value) = (key.into(), value.into());
    current::with(|cx| Some(cx.get::<Held>()?.add(key, value))).flatten().unwrap_or(false)
}

impl Scope {
    /// Adds a field. The same key again replaces the value.
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.0.set((key.into(), value.into()));
        self
    }

    /// Runs a future in the scope, wherever it is polled.
    pub fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let _inside = self.enter();
        future.in_current_context()
    }

    /// Runs a closure in the scope.
    pub fn in_scope<R>(self, work: impl FnOnce() -> R) -> R {
        let _inside = self.enter();
        work()
    }

    /// The context with this scope in it, around which there may be others.
    pub(crate) fn within(self, context: &Context) -> Context {
        let mut pairs = context.get::<Held>().map(|outer| outer.with(Pairs::clone));
        match &mut pairs {
            None => pairs = Some(self.0),
            Some(pairs) => {
                for pair in self.0.first.into_iter().chain(self.0.more) {
                    pairs.set(pair);
                }
            }
        }
        let bound = pairs.unwrap_or_default();
        context.with_value(Held { bound, now: OnceLock::new() })
    }

    /// Enters the scope on this thread until the guard is dropped. Not for async code: a guard held
    /// across an `.await` would cover other tasks; [`run`](Self::run) is for that.
    pub fn enter(self) -> Entered {
        let context = current::with(|cx| self.within(cx));
        Entered(context.as_ref().and_then(current::attach_over))
    }
}

/// Ends its scope on this thread when it is dropped; made by [`Scope::enter`].
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped: keep it, as in `let _scope = …`"]
pub struct Entered(#[expect(dead_code, reason = "held to be dropped")] Option<ContextGuard>);

/// The fields of a scope, those of the scopes around it included.
#[derive(Debug)]
struct Held {
    /// With which it began.
    bound: Pairs,
    /// With those that were added; few scopes have such, and their making costs more than all the rest.
    now: OnceLock<ArcSwap<Pairs>>,
}

impl Held {
    fn with<T>(&self, with: impl FnOnce(&Pairs) -> T) -> T {
        match self.now.get() {
            Some(now) => with(&now.load()),
            None => with(&self.bound),
        }
    }

    fn add(&self, key: Cow<'static, str>, value: Value) -> bool {
        let mut fits = true;
        let now = self.now.get_or_init(|| ArcSwap::from_pointee(self.bound.clone()));
        now.rcu(|pairs| {
            let mut pairs = Pairs::clone(pairs);
            fits = pairs.set((key.clone(), value.clone()));
            pairs
        });
        fits
    }
}

/// Hands each field of the context's scope to `take`.
#[inline]
pub(super) fn each(context: &Context, mut take: impl FnMut(&Cow<'static, str>, &Value)) {
    if let Some(held) = context.get::<Held>() {
        held.with(|pairs| pairs.iter().for_each(|(key, value)| take(key, value)));
    }
}
