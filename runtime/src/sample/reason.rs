//! Why it was decided so, and how often.

use super::Decision;
use crate::home;
use crate::sharded::Counter;
use std::fmt;
use std::sync::Mutex;

/// Names that a process may make of its own; further ones are counted together. Each holds some
/// KiB of counters, and is a label's value.
const MAX: usize = 256;

/// Why a sampler decided as it did: the label `reason` of `redspan_sampler_decisions_total`.
///
/// The samplers here have their own; one's own sampler makes its reasons when it is built, since the
/// name is looked up:
///
/// ```
/// use redspan::sample::{Decision, Reason, Sampling};
///
/// let canary = Reason::named("canary");
/// let sampler = move |span: &Sampling<'_>| {
///     span.because(canary);
///     if span.name.starts_with("canary.") { Decision::Sample } else { Decision::Drop }
/// };
/// # let _: &dyn redspan::sample::Sampler = &sampler;
/// ```
#[derive(Clone, Copy)]
pub struct Reason(&'static Counts);

struct Counts {
    name: &'static str,
    sampled: Counter,
    dropped: Counter,
}

impl Counts {
    const fn new(name: &'static str) -> Self {
        Counts { name, sampled: Counter::new(), dropped: Counter::new() }
    }
}

macro_rules! built_in {
    ($($ident:ident = $name:literal, $doc:literal;)*) => {
        impl Reason {
            $(
                #[doc = $doc]
                pub(crate) const $ident: Reason = {
                    static COUNTS: Counts = Counts::new($name);
                    Reason(&COUNTS)
                };
            )*
        }

        const BUILT_IN: &[Reason] = &[$(Reason::$ident),*];
    };
}

built_in! {
    ALWAYS_ON = "always_on", "Everything is.";
    ALWAYS_OFF = "always_off", "Nothing is.";
    LOCAL_PARENT = "local_parent", "The parent in this process is, or is not.";
    REMOTE_PARENT = "remote_parent", "The caller's span is, or is not.";
    RATIO = "ratio", "The trace id lies below the ratio, or above it.";
    RATE_LIMIT = "rate_limit", "There was room within the last second, or there was none.";
    ADAPTIVE = "adaptive", "The trace id lies below the share that keeps the target.";
    HINT = "hint", "The attribute says so.";
    CUSTOM = "custom", "The sampler gave no reason.";
    OVERFLOW = "__overflow__", "A name past the limit of names.";
}

static OWN: Mutex<Vec<Reason>> = Mutex::new(Vec::new());

impl Reason {
    /// The reason of that name, made if there is none yet. It lasts as long as the process; past
    /// 256 names all further ones are `__overflow__`.
    pub fn named(name: &str) -> Reason {
        if let Some(known) = BUILT_IN.iter().find(|reason| reason.name() == name) {
            return *known;
        }
        let Some(mut own) = home::lock(&OWN) else { return Reason::OVERFLOW };
        if let Some(known) = own.iter().find(|reason| reason.name() == name) {
            return *known;
        }
        if own.len() >= MAX {
            return Reason::OVERFLOW;
        }
        // Leaked, so that noting it is a copy of a pointer; the limit bounds it.
        let name: &'static str = Box::leak(name.into());
        let made = Reason(Box::leak(Box::new(Counts::new(name))));
        own.push(made);
        made
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    #[inline]
    pub(crate) fn count(self, decision: Decision) {
        match decision {
            Decision::Sample => self.0.sampled.add(1),
            Decision::Drop => self.0.dropped.add(1),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Reason) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Reason {}

/// How often a reason decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided {
    /// The reason.
    pub reason: Reason,
    /// Spans it had recorded.
    pub sampled: u64,
    /// Spans it had not.
    pub dropped: u64,
}

/// The decisions of this process so far, by reason; those of testing scopes are not among them.
///
/// Only what was asked is counted. Below a local parent that decides, nothing is asked, and without
/// an exporter nothing at all.
pub fn decisions() -> Vec<Decided> {
    let all = all().map(|reason| Decided {
        reason,
        sampled: reason.0.sampled.get(),
        dropped: reason.0.dropped.get(),
    });
    all.filter(|decided| decided.sampled + decided.dropped > 0).collect()
}

/// How many spans were recorded because a sampler said so.
pub(crate) fn sampled() -> u64 {
    all().map(|reason| reason.0.sampled.get()).sum()
}

fn all() -> impl Iterator<Item = Reason> {
    let own = home::lock(&OWN).map(|own| own.clone()).unwrap_or_default();
    BUILT_IN.iter().copied().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_reason_and_names_are_bounded() {
        assert_eq!(Reason::named("of mine"), Reason::named("of mine"));
        assert_eq!(Reason::named("ratio"), Reason::RATIO);
        for number in 0..2 * MAX {
            Reason::named(&format!("many {number}"));
        }
        assert_eq!(Reason::named("one more"), Reason::OVERFLOW);
        assert_eq!(OWN.lock().unwrap().len(), MAX);
    }
}
