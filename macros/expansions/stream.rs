fn items(id: u64) -> BoxStream<'static, u8> {
    static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite::new(
        "items",
        "items",
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
    ::std::boxed::Box::pin(
        ::redspan::__private::drive_stream(
            &__REDSPAN_SITE,
            ::redspan::__private::ManuallyDrop::new(
                ::redspan::__private::call1(
                    id,
                    move |id| -> BoxStream<'static, u8> { all(id) },
                ),
            ),
            |__redspan_out| {
                use ::redspan::__private::classify::*;
                (&&&&&&&&&::redspan::__private::Returned(__redspan_out))
                    .__redspan_verdict()
            },
        ),
    )
}
