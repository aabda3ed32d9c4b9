//! A request in parts, which stand where they were written: they are put together by who sends them.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// The bytes of a request. Cheap to copy, for one more attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(VecDeque<Bytes>);

impl From<Vec<u8>> for Parts {
    fn from(whole: Vec<u8>) -> Self {
        Parts::from_iter([whole.into()])
    }
}

impl FromIterator<Bytes> for Parts {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        Parts(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }
}

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |first| first)
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        let slices = to.iter_mut().zip(&self.0);
        slices.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_one_text() {
        let texts = ["", "one ", "", "text", "."];
        let whole = || Parts::from_iter(texts.map(|text| Bytes::from_static(text.as_bytes())));
        for step in 1..=9 {
            let (mut parts, mut read) = (whole(), Vec::new());
            while parts.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = parts.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices.iter().take(filled).flat_map(|it| it.to_vec()).collect();
                let some = &seen[..step.min(seen.len())];
                read.extend_from_slice(some);
                parts.advance(some.len());
            }
            assert_eq!(String::from_utf8(read).as_deref(), Ok("one text."), "{step}");
        }
        assert_eq!(whole().copy_to_bytes(9), "one text.");
    }
}
