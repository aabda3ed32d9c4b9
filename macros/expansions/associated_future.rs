impl Service<u8> for Payments {
    type Future = Pin<Box<dyn Future<Output = u8> + Send>>;
    fn call(&mut self, id: u8) -> Self::Future {
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
            name: "<Payments as Service<u8>>::call",
            function: "<Payments as Service<u8>>::call",
            module: ::core::module_path!(),
            file: "",
            line: 0,
            fields: ::redspan::__private::NO_FIELDS,
            rest: ::redspan::__private::REST,
        };
        let id = id;
        let __redspan_kept = ::redspan::__private::keep(
            &__REDSPAN_SITE,
            {
                use ::redspan::__private::service::{ViaNobody as _, ViaService as _};
                (&&::redspan::__private::service::Of::<Self>(&self)).__redspan_shared()
            },
        );
        Box::pin(
            ::redspan::__private::drive_handed(
                ::redspan::__private::ManuallyDrop::new(async move {
                    {
                        let __redspan_started = {
                            ::redspan::__private::begin_of(
                                &__REDSPAN_SITE,
                                ::redspan::__private::held(&__redspan_kept),
                                &[],
                                &[],
                            )
                        };
                        ::redspan::__private::hand_over(__redspan_started);
                    }
                    {
                        if false {
                            return ::redspan::__private::typed::<u8>();
                        }
                        {
                            id
                        }
                    }
                }),
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
}
