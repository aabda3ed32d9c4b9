impl Payments {
    fn open() -> Self {
        static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite::new(
            "Payments::open",
            "Payments::open",
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
        #[cfg_attr(
            target_vendor = "apple",
            unsafe(link_section = "__DATA,redspan_sites")
        )]
        #[cfg_attr(windows, unsafe(link_section = ".rdspn$b"))]
        static __REDSPAN_ENTRY: &::redspan::__private::CallSite = &__REDSPAN_SITE;
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
            {
                use ::redspan::__private::classify::*;
                (&&&&&&&&&::redspan::__private::Returned(&__redspan_out))
                    .__redspan_verdict()
            },
        );
        __redspan_out
    }
    fn charge(&self) {
        static __REDSPAN_SITE: ::redspan::__private::CallSite = ::redspan::__private::CallSite::new(
            "Payments::charge",
            "Payments::charge",
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
        #[cfg_attr(
            target_vendor = "apple",
            unsafe(link_section = "__DATA,redspan_sites")
        )]
        #[cfg_attr(windows, unsafe(link_section = ".rdspn$b"))]
        static __REDSPAN_ENTRY: &::redspan::__private::CallSite = &__REDSPAN_SITE;
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
