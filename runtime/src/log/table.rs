//! What is kept for each place in the code that logs: found without a lock, added once, never removed.
//! There are as many entries as places, so their memory is bounded by the program's text.

use std::sync::OnceLock;

const BUCKETS: usize = 256;

/// Values by the address of a static.
pub(crate) struct Table<T>([Bucket<T>; BUCKETS]);

type Bucket<T> = OnceLock<Box<Node<T>>>;

struct Node<T> {
    key: usize,
    value: T,
    next: Bucket<T>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Table([const { OnceLock::new() }; BUCKETS])
    }

    /// The value of this key, made by `make` if there is none yet. Under a race `make` may run for
    /// nothing, but all get the same value.
    pub(crate) fn get(&self, key: usize, make: impl Fn() -> T) -> &T {
        // Statics are aligned, and lie next to each other.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize) >> (usize::BITS - 8);
        let mut bucket = &self.0[hash % BUCKETS];
        loop {
            let node =
                bucket.get_or_init(|| Box::new(Node { key, value: make(), next: OnceLock::new() }));
            if node.key == key {
                return &node.value;
            }
            bucket = &node.next;
        }
    }

    /// All values, in no order.
    pub(crate) fn each(&self, mut see: impl FnMut(&T)) {
        for bucket in &self.0 {
            let mut next = bucket.get();
            while let Some(node) = next {
                see(&node.value);
                next = node.next.get();
            }
        }
    }
}

impl<T> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn every_key_has_its_own_value_for_good() {
        let table = Table::new();
        for key in 0..10_000 {
            assert_eq!(*table.get(key * 8, || key), key);
        }
        for key in 0..10_000 {
            assert_eq!(*table.get(key * 8, || 0), key);
        }
        let (mut count, mut sum) = (0, 0);
        table.each(|value| (count, sum) = (count + 1, sum + value));
        assert_eq!((count, sum), (10_000, 9_999 * 10_000 / 2));
    }
}
