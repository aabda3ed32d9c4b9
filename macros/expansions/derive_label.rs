#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::Label for Tier {
    const VALUES: &'static [&'static str] = &["free", "gold"];
    #[inline]
    fn index(&self) -> usize {
        match self {
            Self::Free => 0usize,
            Self::Paid => 1usize,
        }
    }
}
