fn charge(id: u64) -> Result<u8, E> {
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
        fields: &["id", "x"],
        rest: ::redspan::__private::Rest::of(::redspan::__private::Settings {
            target: ::core::option::Option::Some(::core::module_path!()),
            level: ::redspan::__private::Level::INFO,
            follows_tracing: true,
            ..::redspan::__private::SETTINGS
        }),
    };
    static __REDSPAN_ERR: ::redspan::__private::EventSite = ::redspan::__private::EventSite::new(
        ::core::concat!("event ", ::core::file!(), ":", ::core::line!()),
        ::core::module_path!(),
        ::core::module_path!(),
        ::core::file!(),
        ::core::line!(),
        ::redspan::__private::Level::ERROR,
        &["error"],
        &__REDSPAN_ERR,
    );
    let mut __redspan_started = ::redspan::__private::begin(&__REDSPAN_SITE);
    if ::redspan::__private::Started::wants_fields(&__redspan_started) {
        ::redspan::__private::Started::fields(
            &mut __redspan_started,
            &[
                ::core::option::Option::Some(::redspan::__private::value(&(id))),
                ::core::option::Option::Some(::redspan::__private::value(&(1))),
            ],
        );
    }
    let mut __redspan_call = ::redspan::__private::Started::enter(__redspan_started);
    let __redspan_out = ::redspan::__private::call1(
        id,
        move |id| -> Result<u8, E> {
            let _ = id;
            {
                pay(id)
            }
        },
    );
    ::redspan::__private::Call::finish(
        &mut __redspan_call,
        {
            match &__redspan_out {
                ::core::result::Result::Ok(_) => {}
                ::core::result::Result::Err(__redspan_error) => {
                    ::redspan::__private::failed(
                        &__REDSPAN_SITE,
                        &__REDSPAN_ERR,
                        ::redspan::__private::display(__redspan_error),
                    );
                }
            }
            ::redspan::__private::quiet(
                ::redspan::__private::Verdict::answered(
                    {
                        use ::redspan::__private::classify::*;
                        ::redspan::__private::Returned(&__redspan_out)
                            .__redspan_verdict()
                    },
                    {
                        use ::redspan::__private::answer::*;
                        (&&&&&::redspan::__private::Returned(&__redspan_out))
                            .__redspan_answer()
                    },
                ),
            )
        },
    );
    __redspan_out
}
