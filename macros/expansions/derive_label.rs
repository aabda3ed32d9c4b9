#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::Label for Tier {
    const VALUES: &'static [&'static ::core::primitive::str] = &["free", "gold"];
    #[inline]
    fn index(&self) -> ::core::primitive::usize {
        match self {
            Self::Free => 0usize,
            Self::Paid => 1usize,
        }
    }
}
