//! How many bytes of machine code an object holds.

/// Sections that hold instructions, in an ELF file of 64 bits.
pub(crate) fn bytes(object: &[u8]) -> Option<usize> {
    const EXECUTABLE: u64 = 4;
    if object.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let number = |at: usize, len: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(object.get(at..at + len)?);
        Some(u64::from_le_bytes(bytes))
    };
    let table = usize::try_from(number(0x28, 8)?).ok()?;
    let entry = usize::try_from(number(0x3a, 2)?).ok()?;
    let mut count = number(0x3c, 2)?;
    // An object with a section a function has more than the header has room for.
    if count == 0 {
        count = number(table + 0x20, 8)?;
    }
    let mut total = 0;
    for index in 0..usize::try_from(count).ok()? {
        let at = table + index * entry;
        if number(at + 8, 8)? & EXECUTABLE != 0 {
            total += usize::try_from(number(at + 0x20, 8)?).ok()?;
        }
    }
    Some(total)
}
