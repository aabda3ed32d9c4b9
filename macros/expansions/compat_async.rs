async fn charge(id: u64) -> u8 {
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
        name: "charge",
        function: "charge",
        module: ::core::module_path!(),
        file: ::core::file!(),
        line: ::core::line!(),
        fields: &[],
        rest: ::redspan::__private::Rest::of(::redspan::__private::Settings {
            target: ::core::option::Option::Some(::core::module_path!()),
            level: ::redspan::__private::Level::INFO,
            follows_tracing: true,
            ..::redspan::__private::SETTINGS
        }),
    };
    static __REDSPAN_RET: ::redspan::__private::EventSite = ::redspan::__private::EventSite::new(
        ::core::concat!("event ", ::core::file!(), ":", ::core::line!()),
        ::core::module_path!(),
        ::core::module_path!(),
        ::core::file!(),
        ::core::line!(),
        ::redspan::__private::Level::INFO,
        &["return"],
        &__REDSPAN_RET,
    );
    let __redspan_started = ::redspan::__private::begin(&__REDSPAN_SITE);
    ::redspan::__private::drive(
            __redspan_started,
            async move {
                let id = id;
                {
                    if false {
                        if let ::core::option::Option::Some(__redspan_typed) = ::core::option::Option::<
                            u8,
                        >::None {
                            return __redspan_typed;
                        }
                    }
                    {
                        pay(id).await
                    }
                }
            },
            |__redspan_out| {
                ::redspan::__private::EventSite::emit(
                    &__REDSPAN_RET,
                    &::redspan::__private::debug(__redspan_out),
                );
                ::redspan::__private::quiet(::redspan::__private::fine())
            },
        )
        .await
}
