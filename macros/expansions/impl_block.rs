impl Payments {
    fn open() -> Self {
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
            name: "Payments::open",
            function: "Payments::open",
            module: ::core::module_path!(),
            file: "",
            line: 0,
            fields: ::redspan::__private::NO_FIELDS,
            rest: ::redspan::__private::REST,
        };
        let __redspan_started = {
            ::redspan::__private::begin_of(
                &__REDSPAN_SITE,
                {
                    use ::redspan::__private::service::{ViaNobody as _, ViaService as _};
                    (&&::redspan::__private::service::Named::<Self>::NEW)
                        .__redspan_shared()
                },
                &[],
                &[],
            )
        };
        let mut __redspan_call = ::redspan::__private::Started::enter(__redspan_started);
        let __redspan_out = ::redspan::__private::call0(move || -> Self { Self });
        ::redspan::__private::Call::finish(
            &mut __redspan_call,
            ::redspan::__private::Verdict::answered(
                {
                    use ::redspan::__private::classify::*;
                    ::redspan::__private::Returned(&__redspan_out).__redspan_verdict()
                },
                {
                    use ::redspan::__private::answer::*;
                    (&&&&&::redspan::__private::Returned(&__redspan_out))
                        .__redspan_answer()
                },
            ),
        );
        __redspan_out
    }
    fn charge(&self) {
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
            name: "Payments::charge",
            function: "Payments::charge",
            module: ::core::module_path!(),
            file: "",
            line: 0,
            fields: ::redspan::__private::NO_FIELDS,
            rest: ::redspan::__private::REST,
        };
        let __redspan_started = {
            ::redspan::__private::begin_of(
                &__REDSPAN_SITE,
                {
                    use ::redspan::__private::service::{ViaNobody as _, ViaService as _};
                    (&&::redspan::__private::service::Of::<Self>(&self))
                        .__redspan_shared()
                },
                &[],
                &[],
            )
        };
        let mut __redspan_call = ::redspan::__private::Started::enter(__redspan_started);
        let __redspan_out = ::redspan::__private::call0(move || -> () {});
        ::redspan::__private::Call::finish(
            &mut __redspan_call,
            ::redspan::__private::fine(),
        );
        __redspan_out
    }
    fn is(&self) {}
}
