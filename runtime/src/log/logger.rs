//! Loggers that carry fields.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use super::scope::Scope;
use super::value::{Bound, Value};

/// The name of the field by which an event brings its logger.
pub(super) const BOUND: &str = "redspan.bound";

/// Fields that each of its lines will have, as `slog.Logger.With` and `WithGroup` in Go; made by
/// [`redspan::logger()`](logger).
///
/// The macros [`redspan::info!`](crate::info), `error!`, `warn!`, `debug!` and `trace!` take it as
/// their first argument, and after it whatever the macros of `tracing` take. Each use is a `tracing`
/// callsite of its own: `RUST_LOG` filters by the module that logs, and a level that is off costs a
/// load. Other layers than redspan's show the bound fields as one, `redspan.bound`.
///
/// Cheap to clone and to share; `with` and `group` leave the logger they are called on as it is.
///
/// ```
/// let log = redspan::logger().with("order_id", 17);
/// redspan::info!(log, amount = 12.5, "charged"); // order_id=17 amount=12.5
///
/// let http = log.group("http").with("method", "GET");
/// redspan::warn!(http, status = 502, "upstream failed"); // order_id=17 http.method=GET http.status=502
/// ```
#[derive(Clone, Default)]
#[must_use = "a logger logs nothing by itself"]
pub struct Logger(Option<Arc<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    fields: Vec<(Cow<'static, str>, Value)>,
    /// The groups, each with a dot behind it.
    prefix: Option<Arc<str>>,
}

/// A logger without fields.
///
/// ```
/// fn charge(log: &redspan::Logger) {
///     redspan::info!(log, "charged");
/// }
///
/// charge(&redspan::logger().with("order_id", 17));
/// ```
pub fn logger() -> Logger {
    Logger(None)
}

impl Logger {
    /// A logger with one field more. The same key again replaces the value.
    pub fn with(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Logger {
        let mut inner = self.inner();
        let mut key = key.into();
        if let Some(prefix) = &inner.prefix {
            key = format!("{prefix}{key}").into();
        }
        let value = value.into();
        match inner.fields.iter_mut().find(|(held, _)| *held == key) {
            Some((_, held)) => *held = value,
            None => inner.fields.push((key, value)),
        }
        Logger(Some(Arc::new(inner)))
    }

    /// A logger whose further fields, those of its lines too, are in this group: `http.status`. One without a
    /// name is none, as in slog.
    pub fn group(&self, name: &str) -> Logger {
        if name.is_empty() {
            return self.clone();
        }
        let mut inner = self.inner();
        let outer = inner.prefix.as_deref().unwrap_or_default();
        inner.prefix = Some(format!("{outer}{name}.").into());
        Logger(Some(Arc::new(inner)))
    }

    /// A scope with this logger's fields: all lines in it have them, whoever logs.
    pub fn scope(&self) -> Scope {
        self.fields()
            .fold(super::scope(), |scope, (key, value)| scope.with(key.clone(), value.clone()))
    }

    fn inner(&self) -> Inner {
        self.0.as_deref().cloned().unwrap_or_default()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &(Cow<'static, str>, Value)> {
        self.0.as_deref().into_iter().flat_map(|inner| &inner.fields)
    }

    pub(super) fn prefix(&self) -> Option<Arc<str>> {
        self.0.as_ref()?.prefix.clone()
    }

    /// For the macros: the logger as the value of a field.
    #[doc(hidden)]
    pub fn __redspan_bound(&self) -> Carried<'_> {
        Carried(self)
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logger({})", Shown(self))
    }
}

/// A logger on its way through `tracing`, which knows numbers and texts only.
#[doc(hidden)]
pub struct Carried<'a>(&'a Logger);

thread_local! {
    // Neither has a destructor that runs code, and both are empty but for an instant.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    static HANDED: RefCell<Option<Logger>> = const { RefCell::new(None) };
}

/// The logger, to a layer of ours that asks for it; its fields as text to everybody else.
impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if ASKING.get() {
            let _ = HANDED.try_with(|handed| *handed.borrow_mut() = Some(self.0.clone()));
            return Ok(());
        }
        fmt::Display::fmt(&Shown(self.0), f)
    }
}

/// The logger that the value of a field named [`BOUND`] brings.
pub(super) fn handed_over(value: &dyn fmt::Debug) -> Option<Logger> {
    struct Nowhere;
    impl fmt::Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }
    struct Asking;
    impl Drop for Asking {
        fn drop(&mut self) {
            ASKING.set(false);
        }
    }
    ASKING.set(true);
    let asking = Asking;
    let _ = write!(Nowhere, "{value:?}");
    drop(asking);
    HANDED.try_with(|handed| handed.borrow_mut().take()).ok()?
}

struct Shown<'a>(&'a Logger);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redaction = crate::redact::current();
        let shown = self.0.fields().filter(|(_, value)| value.0 != Bound::Nothing);
        for (n, (key, value)) in shown.enumerate() {
            let space = if n > 0 { " " } else { "" };
            match redaction.hides(key) {
                true => write!(f, "{space}{key}={}", crate::redact::REDACTED)?,
                false => write!(f, "{space}{key}={value}")?,
            }
        }
        Ok(())
    }
}
