//! The bytes of a page, a piece of it at a time.

/// What is short is copied in blocks of this many bytes, and what was too much is written over: a page has
/// millions of short texts, and a copy whose length is known takes a fraction of one whose length is not.
pub(crate) const BLOCK: usize = 32;

pub(crate) type Block = [u8; BLOCK];

/// A text that fits into a block.
#[derive(Clone, Copy)]
pub(crate) struct Short {
    block: Block,
    length: usize,
}

impl Short {
    /// What is longer is cut.
    pub(crate) fn new(text: &[u8]) -> Self {
        let length = text.len().min(BLOCK);
        let mut block = [0; BLOCK];
        for (place, byte) in block.iter_mut().zip(text) {
            *place = *byte;
        }
        Short { block, length }
    }
}

/// A text in whole blocks.
#[derive(Default)]
pub(crate) struct Padded {
    bytes: Vec<u8>,
    length: usize,
}

impl Padded {
    pub(crate) fn fill(&mut self, parts: &[&str]) {
        self.bytes.clear();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.length = self.bytes.len();
        self.bytes.resize(self.length.next_multiple_of(BLOCK), 0);
    }
}

/// What is being written.
pub(crate) struct Out {
    /// Written up to `length`; behind it is room.
    bytes: Vec<u8>,
    length: usize,
    capacity: usize,
}

impl Out {
    pub(crate) fn new(capacity: usize) -> Self {
        Out { bytes: vec![0; capacity], length: 0, capacity }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// What was written so far; it begins anew.
    #[cfg(feature = "prometheus")]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut taken = std::mem::replace(&mut self.bytes, vec![0; self.capacity]);
        taken.truncate(self.length);
        self.length = 0;
        taken
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.length + more).max(self.bytes.len() + self.capacity / 4);
        self.bytes.resize(wanted, 0);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if end > self.bytes.len() {
            self.grow(bytes.len());
        }
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Writes all of `block`, and takes `length` bytes of it for written.
    #[inline]
    fn block(&mut self, block: &Block, length: usize) {
        let end = self.length + BLOCK;
        if end > self.bytes.len() {
            self.grow(BLOCK);
        }
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(block);
            self.length += length;
        }
    }

    #[inline]
    pub(crate) fn short(&mut self, text: &Short) {
        self.block(&text.block, text.length);
    }

    #[inline]
    pub(crate) fn padded(&mut self, text: &Padded) {
        let mut left = text.length;
        for block in text.bytes.as_chunks().0 {
            let length = left.min(BLOCK);
            self.block(block, length);
            left -= length;
        }
    }
}
