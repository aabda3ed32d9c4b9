//! Fetches memory that will be written soon.

/// Begins to fetch the first two cache lines of a place for writing, and does not wait for them.
#[inline(always)]
pub(crate) fn fetch<T>(place: &T) {
    fetch_bytes(std::ptr::from_ref(place).addr(), 2 * LINE);
}

/// As [`fetch`], of all that these take.
#[inline(always)]
pub(crate) fn fetch_all<T>(these: &[T]) {
    fetch_bytes(these.as_ptr().addr(), size_of_val(these));
}

/// As [`fetch`], of so many bytes from an address on. It may be one at which nothing stands any more.
#[inline(always)]
pub(crate) fn fetch_bytes(address: usize, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if x86::can_fetch() {
        for offset in (0..bytes).step_by(LINE) {
            // SAFETY: the processor has the instruction, which changes nothing, and takes any address: of one that
            // cannot be written it does nothing.
            unsafe {
                std::arch::asm!(
                    "prefetchw [{0}]",
                    in(reg) address.wrapping_add(offset),
                    options(nomem, nostack, preserves_flags),
                );
            }
        }
    }
    // Measured on x86-64 alone: elsewhere the processor is left to itself.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (address, bytes);
}

/// A cache line's bytes.
const LINE: usize = 64;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;

    static CAN: AtomicU8 = AtomicU8::new(UNKNOWN);

    /// Only a few of the oldest processors cannot, and those stop the program at the instruction.
    #[inline(always)]
    pub(super) fn can_fetch() -> bool {
        match CAN.load(Relaxed) {
            UNKNOWN => ask(),
            known => known == YES,
        }
    }

    #[cold]
    fn ask() -> bool {
        use std::arch::x86_64::__cpuid;

        const EXTENDED: u32 = 0x8000_0000;
        const FEATURES: u32 = EXTENDED + 1;
        /// PREFETCHW, by both makers' manuals.
        const FETCH_FOR_WRITING: u32 = 1 << 8;
        let can =
            __cpuid(EXTENDED).eax >= FEATURES && __cpuid(FEATURES).ecx & FETCH_FOR_WRITING != 0;
        CAN.store(if can { YES } else { NO }, Relaxed);
        can
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_processor_is_asked_once() {
            let can = ask();
            assert_eq!(CAN.load(Relaxed), if can { YES } else { NO });
            assert_eq!(can_fetch(), can);
            // Where the system lists it, it has to be found.
            let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            assert!(can || !listed.contains("3dnowprefetch"));
            super::super::fetch_all(&[0_u64; 40]);
            super::super::fetch_bytes(usize::MAX - 100, 300);
        }
    }
}
