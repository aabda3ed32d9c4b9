#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::metrics::Labels for Placed {
    const NAMES: &'static [&'static ::core::primitive::str] = &["tier", "who"];
    const SETS: &'static [&'static [&'static ::core::primitive::str]] = &[
        <Tier as ::redspan::Label>::VALUES,
        &[],
    ];
    const CAPS: &'static [::core::primitive::usize] = &[0usize, 10usize];
    const CLOSED: ::core::primitive::usize = 1
        * <Self as ::redspan::metrics::Labels>::SETS[0usize].len();
    #[inline]
    fn slot(&self) -> ::core::primitive::usize {
        #[allow(unused_mut)]
        let mut __redspan_slot = 0usize;
        __redspan_slot = ::redspan::__private::slot(
            __redspan_slot,
            <Self as ::redspan::metrics::Labels>::SETS[0usize].len(),
            <Tier as ::redspan::Label>::index(&self.tier),
        );
        __redspan_slot
    }
    fn value(&self, __redspan_at: ::core::primitive::usize) -> &::core::primitive::str {
        match __redspan_at {
            0usize => <Tier as ::redspan::Label>::as_str(&self.tier),
            1usize => ::core::convert::AsRef::<::core::primitive::str>::as_ref(&self.who),
            _ => "",
        }
    }
}
