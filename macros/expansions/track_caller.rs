#[track_caller]
fn first(items: &[u8]) -> u8 {
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
        name: "first",
        function: "first",
        module: ::core::module_path!(),
        file: "",
        line: 0,
        fields: ::redspan::__private::NO_FIELDS,
        rest: ::redspan::__private::REST,
    };
    let mut __redspan_call = ::redspan::__private::enter(&__REDSPAN_SITE);
    let __redspan_out = {
        let __redspan_body: u8 = {
            let items = items;
            {
                items[0]
            }
        };
        __redspan_body
    };
    ::redspan::__private::Call::finish(
        &mut __redspan_call,
        ::redspan::__private::fine(),
    );
    __redspan_out
}
