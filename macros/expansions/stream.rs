fn items(id: u64) -> BoxStream<'static, u8> {
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
    static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite {
        name: "items",
        function: "items",
        module: ::core::module_path!(),
        file: "",
        line: 0,
        fields: ::redspan::__private::NO_FIELDS,
        rest: ::redspan::__private::REST,
    };
    ::redspan::__private::Box::pin(
        ::redspan::__private::drive_stream(
            &__REDSPAN_SITE,
            ::core::option::Option::None,
            ::redspan::__private::ManuallyDrop::new(
                ::redspan::__private::items::<
                    u8,
                    _,
                >(
                    ::redspan::__private::call1(
                        id,
                        move |id| -> BoxStream<'static, u8> { all(id) },
                    ),
                ),
            ),
            |__redspan_out| ::redspan::__private::Verdict::answered(
                {
                    use ::redspan::__private::classify::*;
                    ::redspan::__private::Returned(__redspan_out).__redspan_verdict()
                },
                {
                    use ::redspan::__private::answer::*;
                    (&&&&&::redspan::__private::Returned(__redspan_out))
                        .__redspan_answer()
                },
            ),
        ),
    )
}
