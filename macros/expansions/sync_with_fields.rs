fn charge(id: u64, who: &str) {
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
        fields: &["id", "who"],
        rest: ::redspan::__private::REST,
    };
    let mut __redspan_started = ::redspan::__private::begin(&__REDSPAN_SITE);
    if ::redspan::__private::Started::wants_fields(&__redspan_started) {
        ::redspan::__private::Started::fields(
            &mut __redspan_started,
            &[
                ::core::option::Option::Some(::redspan::__private::value(&(id))),
                ::core::option::Option::Some(&::redspan::__private::display(&(who))),
            ],
        );
    }
    let mut __redspan_call = ::redspan::__private::Started::enter(__redspan_started);
    let __redspan_out = ::redspan::__private::call2(
        id,
        who,
        move |id, who| -> () {
            let _ = id;
            let _ = who;
            {
                pay(id)
            }
        },
    );
    ::redspan::__private::Call::finish(
        &mut __redspan_call,
        ::redspan::__private::fine(),
    );
    __redspan_out
}
