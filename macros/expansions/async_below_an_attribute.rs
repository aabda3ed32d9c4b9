#[tokio::main]
async fn main() {
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
        name: "main",
        function: "main",
        module: ::core::module_path!(),
        file: "",
        line: 0,
        fields: ::redspan::__private::NO_FIELDS,
        rest: ::redspan::__private::REST,
    };
    ::redspan::__private::drive_at(
            &__REDSPAN_SITE,
            ::redspan::__private::ManuallyDrop::new(async move {
                {
                    if false {
                        return ::redspan::__private::typed::<()>();
                    }
                    {
                        pay(1).await
                    }
                }
            }),
            |__redspan_out| ::redspan::__private::fine(),
        )
        .await
}
