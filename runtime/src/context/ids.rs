//! Trace and span ids.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

thread_local! {
    // Seeded by the operating system's randomness through the standard library's hasher keys.
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// wyrand: passes the usual batteries, a multiplication a number. Ids must be unlikely to meet,
/// not hard to guess.
fn random() -> u64 {
    let step = |state: u64| {
        let state = state.wrapping_add(0xa076_1d64_78bd_642f);
        let wide = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (state, (wide >> 64) as u64 ^ wide as u64)
    };
    STATE
        .try_with(|cell| {
            let (state, number) = step(cell.get());
            cell.set(state);
            number
        })
        // The thread is ending: one number from a fresh seed.
        .unwrap_or_else(|_| step(RandomState::new().build_hasher().finish()).1)
}

/// W3C Trace Context, level 2: the last 56 bits of the trace id are random. Ours are.
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0x02);

pub(crate) fn trace_id() -> TraceId {
    loop {
        let number = u128::from(random()) << 64 | u128::from(random());
        if number != 0 {
            return TraceId::from(number);
        }
    }
}

pub(crate) fn span_id() -> SpanId {
    loop {
        let number = random();
        if number != 0 {
            return SpanId::from(number);
        }
    }
}

/// The digits of each byte.
static HEX: [[u8; 2]; 256] = {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < hex.len() {
        hex[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    hex
};

/// Lower-case hex digits, two a byte.
#[inline]
pub(crate) fn hex<const N: usize>(bytes: [u8; N]) -> [[u8; 2]; N] {
    bytes.map(|byte| HEX[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn bytes_are_written_as_digits() {
        let bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(str::from_utf8(hex(bytes).as_flattened()), Ok(&*expected));
        let trace_id = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes();
        assert_eq!(hex(trace_id).as_flattened(), b"0123456789abcdeffedcba9876543210");
        let span_id = 0x00ff_a0f9_9f0a_90ff_u64.to_be_bytes();
        assert_eq!(hex(span_id).as_flattened(), b"00ffa0f99f0a90ff");
    }

    #[test]
    fn threads_do_not_share_ids() {
        let threads: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(|| (0..10_000).map(|_| span_id()).collect::<Vec<_>>()))
            .collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(ids.len(), 80_000);
    }
}
