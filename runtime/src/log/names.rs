//! The names of a line's fields: each occurs once.

/// A first look at a set of names: it tells most names that are not in the set without comparing any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Glance([u64; 4]);

/// What a look at a name sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trait(u8);

impl Trait {
    #[inline]
    pub(super) fn of(name: &str) -> Trait {
        let bytes = name.as_bytes();
        let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or_default());
        let last = bytes.len().saturating_sub(1);
        let seen = (bytes.len() as u32) << 24 | byte(0) << 16 | byte(last) << 8 | byte(last / 2);
        Trait((seen.wrapping_mul(0x9e37_79b1) >> 24) as u8)
    }

    fn place(self) -> (usize, u64) {
        (usize::from(self.0 >> 6), 1 << (self.0 & 63))
    }
}

impl Glance {
    #[inline]
    pub(super) fn add_all(&mut self, other: Glance) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    /// Whether a name with this trait may be in the set.
    #[inline]
    pub(super) fn sees(&self, it: Trait) -> bool {
        let (word, bit) = it.place();
        self.0[word] & bit != 0
    }

    #[inline]
    pub(super) fn add(&mut self, it: Trait) {
        let (word, bit) = it.place();
        self.0[word] |= bit;
    }
}

/// The names that a sink writes itself: no field may have them.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    names: Vec<Box<str>>,
    pub(super) glance: Glance,
}

impl Reserved {
    #[inline]
    pub(super) fn have(&self, name: &str) -> bool {
        self.glance.sees(Trait::of(name)) && self.have_surely(name)
    }

    #[cold]
    fn have_surely(&self, name: &str) -> bool {
        self.names.iter().any(|own| **own == *name)
    }
}

impl<T: Into<Box<str>>> FromIterator<T> for Reserved {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        let mut glance = Glance::default();
        names.iter().for_each(|name| glance.add(Trait::of(name)));
        Reserved { names, glance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_set_is_always_seen_and_few_others_are() {
        let own = ["timestamp", "severity", "message", "target", "trace_id", "span_id", "sampled"];
        let reserved: Reserved = own.into_iter().collect();
        for name in own {
            assert!(reserved.glance.sees(Trait::of(name)) && reserved.have(name), "{name}");
        }
        let others: Vec<String> = (0..1_000).map(|n| format!("field_{n}.{}", n * 7)).collect();
        let mistaken = others.iter().filter(|name| reserved.glance.sees(Trait::of(name))).count();
        assert!(mistaken < 100, "{mistaken} of a thousand");
        assert!(!reserved.have("") && !reserved.glance.sees(Trait::of("order.id")));
    }
}
