//! Spans that are bytes already, in few large pieces of memory: none has memory of its own, and none is moved on
//! its way into a request.

use super::waiting::Waiting;
#[cfg(feature = "otlp")]
use crate::otlp::fitting;
use opentelemetry::InstrumentationScope;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// So much is allocated together, for some 250 spans: large enough that a request has few pieces, and small
/// enough that the allocator does not ask the system for each.
const TOGETHER: usize = 64 << 10;

/// With less room than that the next span begins another piece; it might have to be moved otherwise.
const ROOM: usize = 1024;

/// Pieces that are kept for later ones.
const SPARE: usize = 8;

/// Spans as bytes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pieces: VecDeque<Piece>,
    /// What comes after them: still written to.
    open: Vec<u8>,
    pub(in crate::span) spans: Waiting<Written>,
    /// How long the last one was: the next one will be about as long.
    last: usize,
    /// Memory for further pieces. The exporter's way back to the collector: freed on the one thread and bought
    /// on the other, it would come from the system and go back to it each time.
    spare: Vec<Vec<u8>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) length: usize,
    /// Who made it; none for our own.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "for those who take bytes"))]
    pub(crate) scope: Option<Arc<InstrumentationScope>>,
}

impl Written {
    /// What it takes of the memory, about.
    pub(super) fn size(&self) -> usize {
        size_of::<Written>() + self.length
    }
}

/// Bytes that are written. Where a batch ends within them, two share their memory.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    memory: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(self.range.clone()).unwrap_or_default()
    }
}

impl Encoded {
    /// Adds a span, which `write` appends to what it is given; says what it takes of the memory.
    pub(super) fn write(
        &mut self,
        scope: Option<Arc<InstrumentationScope>>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        if self.open.capacity() - self.open.len() < ROOM.max(self.last) {
            self.close();
            if self.open.capacity() == 0 {
                let spare = self.spare.pop();
                self.open = spare.unwrap_or_else(|| Vec::with_capacity(TOGETHER));
            }
        }
        let from = self.open.len();
        write(&mut self.open);
        self.last = self.open.len() - from;
        let written = Written { length: self.last, scope };
        let size = written.size();
        self.spans.push(written);
        size
    }

    /// Nothing more is written to the last piece.
    fn close(&mut self) {
        if !self.open.is_empty() {
            let memory = std::mem::take(&mut self.open);
            let range = 0..memory.len();
            self.pieces.push_back(Piece { memory: memory.into(), range });
        }
    }

    /// Moves all of `others` behind its own.
    pub(super) fn append(&mut self, others: &mut Encoded) {
        self.spare_to(others);
        if others.pieces.is_empty() && others.open.len() <= self.open.capacity() - self.open.len() {
            // Rounds of a few spans share memory.
            self.open.append(&mut others.open);
        } else {
            self.close();
            self.pieces.append(&mut others.pieces);
            self.keep_open_of(others);
        }
        self.spans.append(&mut others.spans);
    }

    fn keep_open_of(&mut self, others: &mut Encoded) {
        let empty = std::mem::replace(&mut self.open, std::mem::take(&mut others.open));
        others.keep(empty);
    }

    /// Keeps memory for later, unless there is enough of it.
    fn keep(&mut self, mut memory: Vec<u8>) {
        let useful = (TOGETHER..=2 * TOGETHER).contains(&memory.capacity());
        if useful && self.spare.len() < SPARE {
            memory.clear();
            self.spare.push(memory);
        }
    }

    /// What a round needs no more is there for the next.
    fn spare_to(&mut self, other: &mut Encoded) {
        other.spare.append(&mut self.spare);
        other.spare.truncate(SPARE);
    }

    fn let_go(&mut self, piece: Piece) {
        // Else somebody still reads it, who lets it go later.
        if let Some(memory) = Arc::into_inner(piece.memory) {
            self.keep(memory);
        }
    }

    fn length(&self, count: usize) -> usize {
        self.spans.iter().take(count).map(|span| span.length).sum()
    }

    /// Leaves the first `count`.
    pub(in crate::span) fn truncate(&mut self, count: usize) {
        let mut left = self.length(count);
        self.spans.truncate(count);
        for _ in 0..self.pieces.len() {
            let Some(mut piece) = self.pieces.pop_front() else { break };
            let length = piece.range.len().min(left);
            left -= length;
            if length > 0 {
                piece.range.end = piece.range.start + length;
                self.pieces.push_back(piece);
            } else {
                self.let_go(piece);
            }
        }
        self.open.truncate(left);
        if left == 0 {
            let open = std::mem::take(&mut self.open);
            self.keep(open);
        }
    }

    /// The first bytes, taken out: so many of them at most, and none if there are none.
    fn take(&mut self, most: usize) -> Option<Piece> {
        if self.pieces.is_empty() {
            self.close();
        }
        let first = self.pieces.front_mut().filter(|_| most > 0)?;
        if first.range.len() <= most {
            return self.pieces.pop_front();
        }
        let mut taken = first.clone();
        first.range.start += most;
        taken.range.end = first.range.start;
        Some(taken)
    }

    /// How many of the first are so long together at most; one, whatever its length, unless there is none.
    #[cfg(feature = "otlp")]
    pub(in crate::span) fn count_within(&self, bytes: usize) -> usize {
        fitting(self.spans.iter().map(|span| span.length), bytes)
    }

    /// Moves the first `count` behind those of `to`.
    pub(in crate::span) fn move_first(&mut self, count: usize, to: &mut Encoded) {
        to.spare_to(self);
        to.close();
        let mut left = self.length(count);
        while let Some(piece) = self.take(left) {
            left -= piece.range.len();
            to.pieces.push_back(piece);
        }
        self.spans.move_first(count, &mut to.spans);
    }

    pub(super) fn drop_first(&mut self, count: usize) {
        let mut left = self.length(count);
        self.spans.drop_oldest(count);
        while let Some(piece) = self.take(left) {
            left -= piece.range.len();
            self.let_go(piece);
        }
    }

    /// The pieces, for who sends them: they may be read for longer than they stand here.
    #[cfg(feature = "otlp")]
    pub(crate) fn pieces(&mut self) -> impl ExactSizeIterator<Item = &Piece> {
        self.close();
        self.pieces.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn bytes(encoded: &mut Encoded) -> Vec<u8> {
        let open = encoded.open.clone();
        encoded.pieces.iter().flat_map(|piece| piece.as_ref()).copied().chain(open).collect()
    }

    #[test]
    fn spans_wait_in_order_and_go_from_either_end_whatever_their_lengths() {
        let mut dice = Dice(3);
        let (mut filling, mut queue, mut sending) =
            (Encoded::default(), Encoded::default(), Encoded::default());
        // What should be in the queue, span by span.
        let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
        let all = |of: &VecDeque<Vec<u8>>, count| {
            of.iter().take(count).flatten().copied().collect::<Vec<u8>>()
        };
        let mut next = 0_u8;
        for _ in 0..400 {
            match dice.up_to(5) {
                0..3 => {
                    for _ in 0..[3, 40, 200][dice.up_to(2)] {
                        let most =
                            [0, 300, 300, 300, 3_000, 100_000][dice.up_to(5).min(dice.up_to(5))];
                        let length = dice.up_to(most);
                        next = next.wrapping_add(1);
                        filling.write(None, |bytes| bytes.resize(bytes.len() + length, next));
                        expected.push_back(vec![next; length]);
                    }
                    if dice.up_to(3) == 0 {
                        let left = dice.up_to(filling.spans.len());
                        expected.truncate(expected.len() - (filling.spans.len() - left));
                        filling.truncate(left);
                    }
                    queue.append(&mut filling);
                    assert!(filling.spans.len() == 0 && bytes(&mut filling).is_empty());
                }
                3 => {
                    let count = dice.up_to(expected.len().min(300));
                    queue.drop_first(count);
                    expected.drain(..count);
                }
                _ => {
                    let count = dice.up_to(600).min(expected.len());
                    queue.move_first(count, &mut sending);
                    assert!(bytes(&mut sending) == all(&expected, count));
                    assert_eq!(sending.spans.len(), count);
                    expected.drain(..count);
                    sending.truncate(0);
                }
            }
            assert_eq!(queue.spans.len(), expected.len());
            assert!(bytes(&mut queue) == all(&expected, usize::MAX));
            for encoded in [&filling, &queue, &sending] {
                assert!(encoded.spare.len() <= SPARE);
                assert!(encoded.spare.iter().all(|it| it.capacity() <= 2 * TOGETHER));
            }
        }
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn as_many_are_counted_as_fit_and_one_at_least() {
        let mut encoded = Encoded::default();
        assert_eq!(encoded.count_within(100), 0);
        for length in [40, 0, 60, 1, 200] {
            encoded.write(None, |bytes| bytes.resize(bytes.len() + length, 7));
        }
        for (bytes, count) in [(0, 1), (39, 1), (40, 2), (99, 2), (100, 3), (300, 4), (301, 5)] {
            assert_eq!(encoded.count_within(bytes), count, "{bytes}");
        }
    }

    #[test]
    fn memory_goes_round() {
        let (mut filling, mut queue, mut sending) =
            (Encoded::default(), Encoded::default(), Encoded::default());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            for _ in 0..1_000 {
                filling.write(None, |bytes| bytes.extend([7; 230]));
            }
            queue.append(&mut filling);
            while queue.spans.len() > 512 {
                queue.move_first(512, &mut sending);
                sending.close();
                seen.extend(sending.pieces.iter().map(|piece| piece.memory.as_ptr().addr()));
                sending.truncate(0);
            }
        }
        // Some 230 KB a round, and 23 MB in all.
        assert!(seen.len() <= 2 * SPARE, "{}", seen.len());
    }

    #[test]
    fn what_waits_takes_about_what_it_is_long() {
        let mut queue = Encoded::default();
        let mut bytes = 0;
        for round in 0..500 {
            let mut filling = Encoded::default();
            for _ in 0..round % 7 {
                let length = 100 + round * 10;
                bytes += length;
                filling.write(None, |to| to.resize(to.len() + length, 1));
            }
            queue.append(&mut filling);
        }
        let held: usize = queue.pieces.iter().map(|piece| piece.memory.capacity()).sum();
        let held = held + queue.open.capacity();
        assert!(held < 2 * bytes + 2 * TOGETHER, "{held} for {bytes}");
    }
}
