//! Fetches memory that will be written soon.

/// Begins to fetch the first two cache lines of a place for writing, and does not wait for them.
#[inline(always)]
pub(super) fn fetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    if x86::can_fetch() {
        let place = std::ptr::from_ref(place).addr();
        // SAFETY: the processor has the instruction, which changes nothing, and takes any address: of one that cannot
        // be written it does nothing.
        unsafe {
            std::arch::asm!(
                "prefetchw [{0}]",
                "prefetchw [{0} + 64]",
                in(reg) place,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    // Measured on x86-64 alone: elsewhere the processor is left to itself.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

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
            super::super::fetch(&[0_u8; 128]);
        }
    }
}
