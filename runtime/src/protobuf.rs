//! Protobuf's wire format, for messages that are written without structs in between.
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

/// How many bytes the length of a message is expected to take; another one costs moving the message.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    Small = 1,
    #[cfg(feature = "otlp")]
    Medium = 2,
    #[cfg(feature = "otlp")]
    Large = 3,
}

fn varint_width(value: usize) -> usize {
    // Seven bits a byte, and one byte for zero.
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

impl Message {
    /// Bytes whose number is known to the compiler: a store, and no call.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    #[inline]
    pub(crate) fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.0.push(value as u8);
        } else {
            self.long_varint(value);
        }
    }

    fn long_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    #[inline]
    pub(crate) fn tag(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    pub(crate) fn double(&mut self, field: u32, value: f64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        match (field, value.len()) {
            (0..16, length @ 0..0x80) => self.put([(field << 3 | 2) as u8, length as u8]),
            (_, length) => {
                self.tag(field, 2);
                self.varint(length as u64);
            }
        }
        self.0.extend_from_slice(value);
    }

    #[inline]
    pub(crate) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    #[inline]
    pub(crate) fn message(&mut self, field: u32, size: Size, write: impl FnOnce(&mut Message)) {
        const MOST: usize = 3;
        self.tag(field, 2);
        let at = self.0.len();
        self.0.extend_from_slice(&[0; MOST][..size as usize]);
        write(self);
        self.close(at, size);
    }

    /// Writes the length of a message that ends here, for which so many bytes were left at `at`.
    #[inline]
    pub(crate) fn close(&mut self, at: usize, size: Size) {
        let reserved = size as usize;
        let length = self.0.len() - at - reserved;
        let least = if reserved == 1 { 0 } else { 1 << (7 * (reserved - 1)) };
        if (least..1 << (7 * reserved)).contains(&length) {
            write_length(&mut self.0[at..at + reserved], length);
        } else {
            self.close_moved(at, reserved);
        }
    }

    #[cold]
    fn close_moved(&mut self, at: usize, reserved: usize) {
        let end = self.0.len();
        let length = end - at - reserved;
        let width = varint_width(length);
        self.0.resize(end.max(end + width - reserved), 0);
        self.0.copy_within(at + reserved..end, at + width);
        self.0.truncate(at + width + length);
        write_length(&mut self.0[at..at + width], length);
    }
}

#[inline]
fn write_length(to: &mut [u8], mut length: usize) {
    let last = to.len() - 1;
    for (index, byte) in to.iter_mut().enumerate() {
        let more = if index < last { 0x80 } else { 0 };
        *byte = length as u8 & 0x7f | more;
        length >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_as_many_bytes_as_it_needs() {
        for (length, width) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 21, 4), (1 << 28, 5)]
        {
            assert_eq!(varint_width(length), width, "{length}");
        }
    }
}
