#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::metrics::Metrics for Shop {
    #[allow(unused_mut)]
    fn register() -> ::core::result::Result<Self, ::redspan::metrics::MetricsError> {
        let mut __redspan_errors = ::redspan::metrics::MetricsError::none();
        let __redspan_0 = ::redspan::metrics::MetricsError::keep(
            &mut __redspan_errors,
            <Counter<
                Placed,
            > as ::redspan::__private::Registered>::register(
                ::redspan::metrics::Definition::help(
                    ::redspan::metrics::Definition::of_field("shop.orders", "", 0),
                    "Orders.",
                ),
            ),
        );
        let __redspan_1 = ::redspan::metrics::MetricsError::keep(
            &mut __redspan_errors,
            <Histogram as ::redspan::__private::Registered>::register(
                ::redspan::metrics::Definition::buckets(
                    ::redspan::metrics::Definition::unit(
                        ::redspan::metrics::Definition::of_field("shop.took", "", 0),
                        "s",
                    ),
                    [1f64],
                ),
            ),
        );
        match (__redspan_0, __redspan_1) {
            (
                ::core::option::Option::Some(__redspan_0),
                ::core::option::Option::Some(__redspan_1),
            ) => {
                ::core::result::Result::Ok(Self {
                    orders: __redspan_0,
                    took: __redspan_1,
                })
            }
            #[allow(unreachable_patterns)]
            _ => ::core::result::Result::Err(__redspan_errors),
        }
    }
}
