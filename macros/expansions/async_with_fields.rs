fn charge(id: u64) -> impl ::core::future::Future<Output = ()> {
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
        file: "",
        line: 0,
        fields: &["id"],
        rest: ::redspan::__private::REST,
    };
    ::redspan::__private::drive_handed(
        ::redspan::__private::ManuallyDrop::new(async move {
            let _ = &id;
            {
                let mut __redspan_started = ::redspan::__private::begin(&__REDSPAN_SITE);
                if ::redspan::__private::Started::wants_fields(&__redspan_started) {
                    ::redspan::__private::Started::fields(
                        &mut __redspan_started,
                        &[
                            ::core::option::Option::Some(
                                ::redspan::__private::value(&(id)),
                            ),
                        ],
                    );
                }
                ::redspan::__private::hand_over(__redspan_started);
            }
            let id = id;
            let _ = id;
            {
                if false {
                    return ::redspan::__private::typed::<()>();
                }
                {
                    pay(id).await
                }
            }
        }),
        |__redspan_out| ::redspan::__private::fine(),
    )
}
