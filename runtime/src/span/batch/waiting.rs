//! Spans that wait, or what is known of them, in the order in which they came.

use std::collections::VecDeque;

/// So many are allocated together, some 120 kilobytes of spans: a queue of many thousands neither doubles, which
/// for a moment would take three times as much, nor keeps what a burst has taken. They move together, too.
const TOGETHER: usize = 256;

/// What takes no more bytes is not made smaller, but used again.
const SMALL: usize = 32 << 10;

/// Chunks that are kept for later ones.
const SPARE: usize = 8;

#[derive(Debug)]
pub(in crate::span) struct Waiting<T> {
    chunks: VecDeque<VecDeque<T>>,
    length: usize,
    /// Small chunks that are empty. They go back to where such are filled, as the memory of bytes does.
    spare: Vec<VecDeque<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { chunks: VecDeque::new(), length: 0, spare: Vec::new() }
    }
}

impl<T> Waiting<T> {
    #[inline]
    pub(in crate::span) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(in crate::span) fn push(&mut self, one: T) {
        self.length += 1;
        match self.chunks.back_mut() {
            Some(last) if last.len() < TOGETHER => last.push_back(one),
            _ => self.push_first(one),
        }
    }

    /// Into a new chunk.
    #[cold]
    fn push_first(&mut self, one: T) {
        let mut chunk = self.chunk();
        chunk.push_back(one);
        self.chunks.push_back(chunk);
    }

    fn chunk(&mut self) -> VecDeque<T> {
        self.spare.pop().unwrap_or_else(|| VecDeque::with_capacity(TOGETHER))
    }

    /// Keeps the memory of a chunk that is empty.
    fn keep(&mut self, mut chunk: VecDeque<T>) {
        // It begins at the front again.
        chunk.clear();
        let is_whole = chunk.capacity() >= TOGETHER;
        if is_whole && chunk.capacity() * size_of::<T>() <= SMALL && self.spare.len() < SPARE {
            self.spare.push(chunk);
        }
    }

    fn spare_to(&mut self, other: &mut Waiting<T>) {
        other.spare.append(&mut self.spare);
        other.spare.truncate(SPARE);
    }

    /// Takes all of `others` over, behind its own.
    pub(super) fn append(&mut self, others: &mut Waiting<T>) {
        self.spare_to(others);
        while let Some(mut chunk) = others.chunks.pop_front() {
            // Rounds of a few spans share memory.
            match self.chunks.back_mut() {
                Some(last) if last.len() + chunk.len() <= TOGETHER => {
                    last.append(&mut chunk);
                    others.keep(chunk);
                }
                _ => {
                    // It may wait for long.
                    if (chunk.capacity() - chunk.len()) * size_of::<T>() > SMALL {
                        chunk.shrink_to_fit();
                    }
                    self.chunks.push_back(chunk);
                }
            }
        }
        self.length += std::mem::take(&mut others.length);
    }

    /// Moves the first `count` behind those of `to`.
    pub(super) fn move_first(&mut self, count: usize, to: &mut Waiting<T>) {
        to.spare_to(self);
        let mut left = count.min(self.length);
        self.length -= left;
        to.length += left;
        while left > 0
            && let Some(mut first) = self.chunks.pop_front()
        {
            if first.len() <= left {
                left -= first.len();
                to.chunks.push_back(first);
            } else {
                let mut some = self.chunk();
                some.extend(first.drain(..left));
                to.chunks.push_back(some);
                self.chunks.push_front(first);
                left = 0;
            }
        }
    }

    /// Takes the oldest out.
    pub(in crate::span) fn take(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?;
        let one = first.pop_front();
        if first.is_empty() {
            let empty = self.chunks.pop_front();
            empty.into_iter().for_each(|chunk| self.keep(chunk));
        }
        self.length -= usize::from(one.is_some());
        one
    }

    /// Takes all out, each as `made` of it.
    pub(super) fn take_all<U>(&mut self, made: impl FnMut(T) -> U) -> Vec<U> {
        let mut all = Vec::with_capacity(self.length);
        all.extend(std::iter::from_fn(|| self.take()).map(made));
        all
    }

    /// Lets so many of the oldest go.
    pub(super) fn drop_oldest(&mut self, count: usize) {
        let mut left = count.min(self.length);
        self.length -= left;
        while let Some(mut first) = self.chunks.pop_front() {
            let some = left.min(first.len());
            first.drain(..some);
            left -= some;
            if !first.is_empty() {
                return self.chunks.push_front(first);
            }
            self.keep(first);
        }
    }

    /// Leaves so many of the oldest.
    pub(in crate::span) fn truncate(&mut self, count: usize) {
        let mut left = self.length.saturating_sub(count);
        self.length -= left;
        while let Some(mut last) = self.chunks.pop_back() {
            let some = left.min(last.len());
            last.truncate(last.len() - some);
            left -= some;
            if !last.is_empty() {
                return self.chunks.push_back(last);
            }
            self.keep(last);
        }
    }

    pub(in crate::span) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    fn numbers(waiting: &mut Waiting<u64>) -> Vec<u64> {
        waiting.iter_mut().map(|number| *number).collect()
    }

    #[test]
    fn rounds_of_any_size_wait_in_order_and_go_from_either_end() {
        let mut waiting = Waiting::default();
        let mut next: u64 = 0;
        for round in [3, 300, 0, 1, 512, 200, 100, 57] {
            let mut new = Waiting::default();
            for _ in 0..round {
                next += 1;
                new.push(next);
            }
            assert_eq!(new.len(), round);
            waiting.append(&mut new);
            assert_eq!(new.len(), 0);
        }
        assert_eq!(numbers(&mut waiting), (1..=next).collect::<Vec<_>>());
        waiting.drop_oldest(299);
        waiting.truncate(waiting.len() - 260);
        assert_eq!(numbers(&mut waiting), (300..=next - 260).collect::<Vec<_>>());
        assert_eq!(waiting.len() as u64, next - 260 - 299);
        assert!(waiting.chunks.iter().all(|chunk| chunk.capacity() <= TOGETHER));
        while waiting.take().is_some() {}
        waiting.drop_oldest(1);
        waiting.truncate(0);
        assert!(waiting.len() == 0 && waiting.chunks.is_empty());
    }

    #[test]
    fn chunks_are_one_list_whatever_is_done_to_it() {
        let mut dice = Dice(11);
        let mut up_to = |most| dice.up_to(most);
        let (mut filling, mut queue, mut sending) =
            (Waiting::default(), Waiting::default(), Waiting::default());
        let mut expected = VecDeque::new();
        let mut next: u64 = 0;
        for _ in 0..4_000 {
            let some = [up_to(3), up_to(300), up_to(900)][up_to(2)];
            match up_to(6) {
                0..3 => {
                    for _ in 0..some {
                        next += 1;
                        filling.push(next);
                        expected.push_back(next);
                    }
                    assert_eq!(filling.iter().next_back(), (some > 0).then_some(&next));
                    queue.append(&mut filling);
                    assert!(filling.len() == 0 && filling.iter().next().is_none());
                }
                3 => {
                    queue.drop_oldest(some);
                    expected.drain(..some.min(expected.len()));
                }
                4 => {
                    let left = queue.len().saturating_sub(some);
                    queue.truncate(left);
                    expected.truncate(left);
                }
                5 => {
                    assert_eq!(queue.take(), expected.pop_front());
                }
                _ => {
                    queue.move_first(some, &mut sending);
                    let moved: Vec<u64> = expected.drain(..some.min(expected.len())).collect();
                    assert!(sending.iter().eq(&moved) && sending.len() == moved.len());
                    sending.truncate(0);
                }
            }
            assert!(queue.iter().eq(&expected) && queue.len() == expected.len());
            for waiting in [&filling, &queue, &sending] {
                assert!(waiting.spare.len() <= SPARE);
                assert!(waiting.spare.iter().all(VecDeque::is_empty));
            }
        }
        assert!(next > 100_000, "{next}");
    }

    #[test]
    fn memory_goes_round() {
        let (mut filling, mut queue, mut sending) =
            (Waiting::default(), Waiting::default(), Waiting::default());
        let mut seen = std::collections::HashSet::new();
        for round in 0_u64..100 {
            (0..800).for_each(|number| filling.push(round + number));
            seen.extend(filling.chunks.iter().map(|chunk| std::ptr::from_ref(&chunk[0]).addr()));
            queue.append(&mut filling);
            while queue.len() >= 512 {
                queue.move_first(512, &mut sending);
                sending.truncate(0);
            }
        }
        // Some four chunks a round, and 400 in all.
        assert!(seen.len() <= 2 * SPARE, "{}", seen.len());
    }
}
