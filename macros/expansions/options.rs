fn charge(tier: Tier, who: &str, link: SpanContext) -> u8 {
    static __REDSPAN_SLO: ::redspan::__private::Slo = ::redspan::__private::Slo::new(
            "pay",
        )
        .latency(250000000u64, "99.9");
    static __REDSPAN_LINE: ::redspan::__private::Line = ::redspan::__private::Line::new(
        ::redspan::__private::Level::INFO,
        ::core::module_path!(),
        "",
        0,
        &__REDSPAN_LINE,
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
    static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite {
        name: "pay",
        function: "charge",
        module: ::core::module_path!(),
        file: "",
        line: 0,
        fields: ::redspan::__private::NO_FIELDS,
        rest: ::redspan::__private::Rest::of(::redspan::__private::Settings {
            level: ::redspan::__private::Level::DEBUG,
            kind: ::redspan::__private::Kind::Client,
            sample: ::core::option::Option::Some(0.5f64),
            given: &["tier", "who"],
            returned: &["big"],
            slo: ::core::option::Option::Some(&__REDSPAN_SLO),
            line: ::core::option::Option::Some(&__REDSPAN_LINE),
            root: true,
            error_type_only: true,
            ..::redspan::__private::SETTINGS
        }),
    };
    let __redspan_started = {
        ::redspan::__private::begin_with(
            &__REDSPAN_SITE,
            &[
                ::redspan::__private::closed(&(tier)),
                ::redspan::__private::capped(&(who), 10u32),
            ],
            &[::redspan::__private::link(&(link))],
        )
    };
    let mut __redspan_call = ::redspan::__private::Started::enter(__redspan_started);
    let __redspan_out = ::redspan::__private::call3(
        tier,
        who,
        link,
        move |tier, who, link| -> u8 {
            let _ = tier;
            let _ = who;
            let _ = link;
            {
                1
            }
        },
    );
    ::redspan::__private::Call::finish(
        &mut __redspan_call,
        {
            let __redspan_verdict = ::redspan::__private::judged(
                ::redspan::__private::holds(&__redspan_out, |n| *n > 1),
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
            );
            #[allow(
                clippy::redundant_closure,
                clippy::redundant_closure_for_method_calls
            )]
            ::redspan::__private::pick(
                &__REDSPAN_SITE,
                &[
                    ::redspan::__private::closed(
                        &(::redspan::__private::asked(&__redspan_out, |n| *n > 1)),
                    ),
                ],
            );
            __redspan_verdict
        },
    );
    __redspan_out
}
