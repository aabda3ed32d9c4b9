//! Spans that wait, in the order in which they came.

use std::collections::VecDeque;

/// So many are allocated together, some 120 kilobytes: a queue of many thousands neither doubles, which for a
/// moment would take three times as much, nor keeps what a burst has taken.
const TOGETHER: usize = 256;

pub(in crate::span) struct Waiting<T> {
    chunks: VecDeque<VecDeque<T>>,
    spans: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { chunks: VecDeque::new(), spans: 0 }
    }
}

impl<T> Waiting<T> {
    pub(super) fn len(&self) -> usize {
        self.spans
    }

    pub(super) fn push(&mut self, span: T) {
        self.spans += 1;
        match self.chunks.back_mut() {
            Some(last) if last.len() < TOGETHER => last.push_back(span),
            _ => {
                let mut chunk = VecDeque::with_capacity(TOGETHER);
                chunk.push_back(span);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Takes all of `others` over, behind its own.
    pub(super) fn append(&mut self, others: &mut Waiting<T>) {
        for mut chunk in others.chunks.drain(..) {
            // Rounds of a few spans share memory.
            match self.chunks.back_mut() {
                Some(last) if last.len() + chunk.len() <= TOGETHER => last.append(&mut chunk),
                _ => {
                    // It may wait for long.
                    if chunk.len() * 4 < chunk.capacity() * 3 {
                        chunk.shrink_to_fit();
                    }
                    self.chunks.push_back(chunk);
                }
            }
        }
        self.spans += std::mem::take(&mut others.spans);
    }

    /// Takes the oldest out.
    pub(super) fn take(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?;
        let span = first.pop_front();
        if first.is_empty() {
            self.chunks.pop_front();
        }
        self.spans -= usize::from(span.is_some());
        span
    }

    /// Lets so many of the oldest go.
    pub(super) fn drop_oldest(&mut self, spans: usize) {
        for _ in 0..spans {
            self.take();
        }
    }

    /// Lets so many of the newest go.
    pub(super) fn drop_newest(&mut self, spans: usize) {
        for _ in 0..spans {
            let Some(last) = self.chunks.back_mut() else { return };
            self.spans -= usize::from(last.pop_back().is_some());
            if last.is_empty() {
                self.chunks.pop_back();
            }
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
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
        waiting.drop_newest(260);
        assert_eq!(numbers(&mut waiting), (300..=next - 260).collect::<Vec<_>>());
        assert_eq!(waiting.len() as u64, next - 260 - 299);
        assert!(waiting.chunks.iter().all(|chunk| chunk.capacity() <= TOGETHER));
        while waiting.take().is_some() {}
        waiting.drop_oldest(1);
        waiting.drop_newest(1);
        assert!(waiting.len() == 0 && waiting.chunks.is_empty());
    }
}
