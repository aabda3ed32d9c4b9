//! All sites of the program, known before the first of them is called.
//!
//! Each expansion puts a pointer to its site into one link section, and the linker makes an array
//! of them. That is why counters of functions that were never called already stand at zero.

use crate::callsite::CallSite;
use std::collections::HashSet;
use std::sync::{LazyLock, PoisonError, RwLock};
use tracing_core::Metadata;

/// All annotated functions that are linked into this program, in no particular order.
///
/// ```
/// for site in redspan::catalog() {
///     println!("{}::{} at {}:{}", site.module(), site.function(), site.file(), site.line());
/// }
/// ```
pub fn catalog() -> impl Iterator<Item = &'static CallSite> {
    let late = KNOWN.late.read().unwrap_or_else(PoisonError::into_inner).clone();
    linked().iter().copied().flatten().chain(late)
}

/// Sites that the linker did not list: on a target whose sections we do not know, a site is
/// listed from its first call on.
pub(crate) fn add(site: &'static CallSite) {
    if !KNOWN.linked.contains(&address(site.metadata())) {
        let mut late = KNOWN.late.write().unwrap_or_else(PoisonError::into_inner);
        late.push(site);
    }
}

/// Whether `metadata` is that of a site.
pub(crate) fn contains(metadata: &Metadata<'_>) -> bool {
    let wanted = address(metadata);
    KNOWN.linked.contains(&wanted) || {
        let late = KNOWN.late.read().unwrap_or_else(PoisonError::into_inner);
        late.iter().any(|site| address(site.metadata()) == wanted)
    }
}

struct Known {
    linked: HashSet<usize>,
    late: RwLock<Vec<&'static CallSite>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known {
    linked: linked().iter().copied().flatten().map(|site| address(site.metadata())).collect(),
    late: RwLock::new(Vec::new()),
});

fn address(metadata: &Metadata<'_>) -> usize {
    std::ptr::from_ref(metadata).addr()
}

/// The linker's array. `Option` has the size of the reference: a hole that a linker pads with
/// zeros reads as `None`.
fn linked() -> &'static [Option<&'static CallSite>] {
    section::all()
}

cfg_select! {
    // ELF linkers give `__start_` and `__stop_` of any section whose name is a C identifier.
    any(
        target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd",
        target_os = "openbsd", target_os = "dragonfly", target_os = "illumos"
    ) => {
        mod section {
            use super::CallSite;

            // One entry of our own: without any, the two symbols would be undefined.
            #[used]
            #[unsafe(link_section = "redspan_sites")]
            static ANCHOR: Option<&CallSite> = None;

            unsafe extern "Rust" {
                #[link_name = "__start_redspan_sites"]
                static START: Option<&'static CallSite>;
                #[link_name = "__stop_redspan_sites"]
                static STOP: Option<&'static CallSite>;
            }

            pub(super) fn all() -> &'static [Option<&'static CallSite>] {
                // SAFETY: the linker defines both as the ends of one section that holds only values
                // of this type and size, never written; `START` is its first value.
                unsafe { super::between(&raw const START, &raw const STOP) }
            }
        }
    }
    target_vendor = "apple" => {
        mod section {
            use super::CallSite;

            #[used]
            #[unsafe(link_section = "__DATA,redspan_sites")]
            static ANCHOR: Option<&CallSite> = None;

            unsafe extern "Rust" {
                #[link_name = "\x01section$start$__DATA$redspan_sites"]
                static START: Option<&'static CallSite>;
                #[link_name = "\x01section$end$__DATA$redspan_sites"]
                static STOP: Option<&'static CallSite>;
            }

            pub(super) fn all() -> &'static [Option<&'static CallSite>] {
                // SAFETY: as on ELF; ld64 defines the two symbols on demand.
                unsafe { super::between(&raw const START, &raw const STOP) }
            }
        }
    }
    windows => {
        mod section {
            use super::CallSite;

            // The linker sorts by what follows the `$`: sites stand in `b`.
            #[unsafe(link_section = ".rdspn$a")]
            static START: Option<&CallSite> = None;
            #[unsafe(link_section = ".rdspn$c")]
            static STOP: Option<&CallSite> = None;

            pub(super) fn all() -> &'static [Option<&'static CallSite>] {
                // SAFETY: the linker merges the three into one section, in this order.
                unsafe { super::between(&raw const START, &raw const STOP) }
            }
        }
    }
    // Elsewhere a site is listed from its first call on (`add`).
    _ => {
        mod section {
            pub(super) fn all() -> &'static [Option<&'static super::CallSite>] {
                &[]
            }
        }
    }
}

/// # Safety
/// Both must be the ends of one allocation of initialised values that nobody writes.
#[allow(dead_code, reason = "targets without a known section have no array")]
unsafe fn between(
    start: *const Option<&'static CallSite>,
    stop: *const Option<&'static CallSite>,
) -> &'static [Option<&'static CallSite>] {
    let bytes = stop.addr().saturating_sub(start.addr());
    let count = bytes / size_of::<Option<&'static CallSite>>();
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(start, count) }
}
