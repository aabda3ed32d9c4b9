//! Who calls an annotated function: the nearest annotated call above it.
//!
//! Each thread knows the site of its innermost call, whether or not that has a span or is recorded: a
//! call sets it while it is current, a future around each poll, and carried work where it runs.

use crate::callsite::{CallSite, NOBODY};
use crate::label::OVERFLOW;
use crate::red::callers::Caller;
use crate::red::labelled::Table;
use crate::watch;
use std::cell::Cell;
use std::ptr;

thread_local! {
    // Without a destructor, so that it answers also while the thread ends.
    static HERE: Cell<Option<&'static CallSite>> = const { Cell::new(None) };
}

/// From now on `function_calls_total` says who called: the labels `caller_function` and
/// `caller_module`.
///
/// The caller is the nearest annotated call around a call, across awaits and on whatever thread a future is
/// polled, and as far as [`context`](crate::context) carries work; [`measured!`](crate::measured) counts as
/// one, recording or metrics do not matter. A call that none is around has neither label. The other two
/// metrics of functions do not say who called, as in autometrics.
///
/// A function tells 64 callers apart, fewer where it has many label sets of its own; the others share one
/// place, `__overflow__`, with a warning. Calls that began before are counted without a caller.
///
#[cfg_attr(feature = "instrument", doc = "```")]
#[cfg_attr(not(feature = "instrument"), doc = "```no_run")]
/// use redspan::instrumented;
///
/// #[instrumented]
/// fn checkout() {
///     charge();
/// }
///
/// #[instrumented]
/// fn charge() {}
///
/// redspan::metrics::label_callers();
/// checkout();
/// # #[cfg(feature = "instrument")] {
/// let page = redspan::recorder().render_openmetrics();
/// let charges = page.lines().filter(|line| line.contains(r#"caller_function="checkout""#));
/// assert!(charges.filter(|line| line.contains(r#"function="charge""#)).any(|it| it.contains("} 1")));
/// # }
/// ```
///
/// With `init!` it is [`Builder::label_callers`](crate::Builder::label_callers). A call with it takes some
/// nanoseconds more, without it none.
pub fn label_callers() {
    watch::ask(watch::CALLERS);
}

/// Whether calls say who called them.
#[inline]
pub(crate) fn are_labels() -> bool {
    watch::is_asked(watch::CALLERS)
}

/// Who calls what is called here, if it is anybody.
pub(crate) fn here() -> Option<&'static CallSite> {
    HERE.get().filter(|site| !ptr::eq(*site, &NOBODY))
}

/// Where a call of `site` that begins here is counted among its callers in `table`.
pub(crate) fn number(site: &'static CallSite, table: &Table) -> u32 {
    let Some(caller) = here() else { return 0 };
    let (number, is_first_over) = table.caller(&Caller {
        site: ptr::from_ref(caller).addr(),
        function: caller.function(),
        module: caller.module(),
    });
    if is_first_over {
        tracing::warn!(
            target: "redspan",
            metric = "function_calls_total",
            label = "caller_function",
            function = &*site.qualified_name(),
            "too many functions call {}: its further callers are shown as {OVERFLOW}",
            site.qualified_name()
        );
    }
    number
}

/// What was here before, and is so again when this is dropped.
#[must_use = "what was here before is to be so again"]
pub(crate) struct Above(&'static CallSite);

/// From here on `site` calls, or nobody.
pub(crate) fn enter(site: Option<&'static CallSite>) -> Above {
    Above(HERE.replace(Some(site.unwrap_or(&NOBODY))).unwrap_or(&NOBODY))
}

impl Drop for Above {
    /// The opposite of [`enter`].
    fn drop(&mut self) {
        HERE.set(Some(self.0));
    }
}
