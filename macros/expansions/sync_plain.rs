fn count(&self) -> usize {
    static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite::new(
        "count",
        "count",
        ::core::module_path!(),
        "",
        0,
        ::redspan::__private::Level::INFO,
        ::redspan::__private::Kind::Internal,
        &[],
        &__REDSPAN_SITE,
    );
    #[used]
    #[cfg_attr(
        any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "dragonfly",
            target_os = "illumos"
        ),
        unsafe(link_section = "redspan_sites")
    )]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,redspan_sites"))]
    #[cfg_attr(windows, unsafe(link_section = ".rdspn$b"))]
    static __REDSPAN_ENTRY: &::redspan::__private::CallSite = &__REDSPAN_SITE;
    let mut __redspan_call = ::redspan::__private::enter(&__REDSPAN_SITE);
    let __redspan_out = ::redspan::__private::call0(move || -> usize { self.0.len() });
    ::redspan::__private::Call::finish(
        &mut __redspan_call,
        ::redspan::__private::fine(),
    );
    __redspan_out
}
