fn around() {
    let out = {
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
        #[cfg_attr(
            target_vendor = "apple",
            unsafe(link_section = "__DATA,redspan_sites")
        )]
        #[cfg_attr(windows, unsafe(link_section = ".rdspn$b"))]
        static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite {
            name: "fill",
            function: "fill",
            module: ::core::module_path!(),
            file: "",
            line: 0,
            fields: &["key"],
            rest: ::redspan::__private::REST,
        };
        let mut __redspan_started = ::redspan::__private::begin(&__REDSPAN_SITE);
        if ::redspan::__private::Started::wants_fields(&__redspan_started) {
            ::redspan::__private::Started::fields(
                &mut __redspan_started,
                &[::core::option::Option::Some(::redspan::__private::value(&(key)))],
            );
        }
        ::redspan::__private::measured(
            ::redspan::__private::Started::enter(__redspan_started),
            ::redspan::__private::Expected::HERE,
            || { load(key)? },
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
        )
    };
}
