//! All sites of the program, known before the first of them is called.
//!
//! Each expansion puts its site into one link section, and the linker makes an array of them. That is
//! why counters of functions that were never called already stand at zero.

use crate::callsite::CallSite;
use crate::home;
use std::ptr;
use std::sync::RwLock;
use tracing_core::Metadata;

/// All annotated functions that are linked into this program, in no particular order.
///
/// ```
/// for site in redspan::catalog() {
///     println!("{}::{} at {}:{}", site.module(), site.function(), site.file(), site.line());
/// }
/// ```
pub fn catalog() -> impl Iterator<Item = &'static CallSite> {
    let late = home::read(&LATE).map(|late| late.clone()).unwrap_or_default();
    Linked::new().chain(late)
}

/// Sites that the linker did not list: on a target whose sections we do not know, a site is
/// listed from its first call on.
pub(crate) fn add(site: &'static CallSite) {
    if !is_linked(ptr::from_ref(site).addr())
        && let Some(mut late) = home::write(&LATE)
    {
        late.push(site);
    }
}

/// Whether `metadata` is that of a site: they hold their own.
pub(crate) fn contains(metadata: &Metadata<'_>) -> bool {
    let wanted = ptr::from_ref(metadata).addr();
    is_linked(wanted) || {
        home::read(&LATE).iter().flat_map(|late| late.iter()).any(|site| {
            let site = ptr::from_ref(*site).addr();
            (site..site + size_of::<CallSite>()).contains(&wanted)
        })
    }
}

static LATE: RwLock<Vec<&'static CallSite>> = RwLock::new(Vec::new());

/// Whether something stands in the linker's array.
fn is_linked(address: usize) -> bool {
    let (start, stop) = section::ends();
    (start.addr()..stop.addr()).contains(&address)
}

/// The sites in the linker's array. Between two of them may be words of zeros: padding, and our own
/// entries.
struct Linked {
    next: *const usize,
    stop: *const usize,
}

impl Linked {
    fn new() -> Self {
        let (next, stop) = section::ends();
        Linked { next, stop }
    }
}

impl Iterator for Linked {
    type Item = &'static CallSite;

    fn next(&mut self) -> Option<&'static CallSite> {
        const WORDS: usize = size_of::<CallSite>() / size_of::<usize>();
        while self.next < self.stop {
            let here = self.next;
            // SAFETY: between the ends of the section are words. The first of a site, the address of
            // its name, is written by nobody; the others that are looked at are zeros.
            if unsafe { here.read() } == 0 {
                self.next = here.wrapping_add(1);
            } else {
                self.next = here.wrapping_add(WORDS);
                // SAFETY: no hole, so a site begins here.
                return Some(unsafe { &*here.cast::<CallSite>() });
            }
        }
        None
    }
}

cfg_select! {
    // ELF linkers give `__start_` and `__stop_` of any section whose name is a C identifier.
    any(
        target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd",
        target_os = "openbsd", target_os = "dragonfly", target_os = "illumos"
    ) => {
        mod section {
            use std::sync::atomic::AtomicUsize;

            // One entry of our own: without any, the two symbols would be undefined. Atomic, since
            // it lies among sites, which are written to.
            #[used]
            #[unsafe(link_section = "redspan_sites")]
            static ANCHOR: AtomicUsize = AtomicUsize::new(0);

            unsafe extern "Rust" {
                #[link_name = "__start_redspan_sites"]
                static START: AtomicUsize;
                #[link_name = "__stop_redspan_sites"]
                static STOP: AtomicUsize;
            }

            pub(super) fn ends() -> (*const usize, *const usize) {
                ((&raw const START).cast(), (&raw const STOP).cast())
            }
        }
    }
    target_vendor = "apple" => {
        mod section {
            use std::sync::atomic::AtomicUsize;

            #[used]
            #[unsafe(link_section = "__DATA,redspan_sites")]
            static ANCHOR: AtomicUsize = AtomicUsize::new(0);

            // ld64 defines the two on demand.
            unsafe extern "Rust" {
                #[link_name = "\x01section$start$__DATA$redspan_sites"]
                static START: AtomicUsize;
                #[link_name = "\x01section$end$__DATA$redspan_sites"]
                static STOP: AtomicUsize;
            }

            pub(super) fn ends() -> (*const usize, *const usize) {
                ((&raw const START).cast(), (&raw const STOP).cast())
            }
        }
    }
    windows => {
        mod section {
            use std::sync::atomic::AtomicUsize;

            // The linker makes one section of the three, in the order of what follows the `$`: sites
            // stand in `b`.
            #[unsafe(link_section = ".rdspn$a")]
            static START: AtomicUsize = AtomicUsize::new(0);
            #[unsafe(link_section = ".rdspn$c")]
            static STOP: AtomicUsize = AtomicUsize::new(0);

            pub(super) fn ends() -> (*const usize, *const usize) {
                ((&raw const START).cast(), (&raw const STOP).cast())
            }
        }
    }
    // Elsewhere a site is listed from its first call on (`add`).
    _ => {
        mod section {
            pub(super) fn ends() -> (*const usize, *const usize) {
                (std::ptr::null(), std::ptr::null())
            }
        }
    }
}
