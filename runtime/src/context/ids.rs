//! Trace and span ids.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static STATE: Cell<State> = Cell::new(State::seeded());
}

/// Blackman and Vigna's xoroshiro128++. Ids must be unlikely to meet, not hard to guess: in a fleet with a
/// state of 64 bits, of which a trace's 128 bits are made, two would be the same after some billions.
#[derive(Clone, Copy)]
struct State(u64, u64);

impl State {
    /// From the operating system's randomness, through the standard library's hasher keys of 128 bits.
    fn seeded() -> Self {
        let keys = RandomState::new();
        // All zero it would stay so.
        State(keys.hash_one(0) | 1, keys.hash_one(1))
    }

    #[inline]
    fn next(self) -> (Self, u64) {
        let State(a, b) = self;
        let number = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
        let b = a ^ b;
        (State(a.rotate_left(49) ^ b ^ (b << 21), b.rotate_left(28)), number)
    }
}

/// Numbers of this thread, none of them zero.
#[inline(always)]
fn random<const N: usize>() -> [u64; N] {
    let draw = |cell: &Cell<State>| {
        let mut state = cell.get();
        let numbers = std::array::from_fn(|_| {
            loop {
                let (next, number) = state.next();
                state = next;
                if number != 0 {
                    return number;
                }
            }
        });
        cell.set(state);
        numbers
    };
    // Else the thread is ending: from a fresh seed.
    STATE.try_with(draw).unwrap_or_else(|_| draw(&Cell::new(State::seeded())))
}

/// W3C Trace Context, level 2: the last 56 bits of the trace id are random. Ours are.
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0x02);

pub(crate) fn trace_id() -> TraceId {
    of_trace(random())
}

pub(crate) fn span_id() -> SpanId {
    let [number] = random();
    SpanId::from(number)
}

/// Of a trace that begins, and its root.
#[inline]
pub(crate) fn of_root() -> (TraceId, SpanId) {
    let [high, low, span] = random();
    (of_trace([high, low]), SpanId::from(span))
}

#[inline(always)]
fn of_trace([high, low]: [u64; 2]) -> TraceId {
    TraceId::from(u128::from(high) << 64 | u128::from(low))
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
    fn numbers_are_those_of_the_published_generator() {
        let mut state = State(1, 2);
        let numbers = std::array::from_fn(|_| {
            let (next, number) = state.next();
            state = next;
            number
        });
        assert_eq!(numbers, [393217, 669327710093319, 1732421326133921491, 11394790081659126983]);
    }

    #[test]
    fn half_a_trace_id_does_not_tell_the_other_half() {
        let (after, half) = State(7, 1).next();
        let other = State(8, half.wrapping_sub(8).rotate_right(17).wrapping_sub(8));
        let (after_other, same_half) = other.next();
        assert_eq!(half, same_half);
        assert_ne!(after.next().1, after_other.next().1);
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
