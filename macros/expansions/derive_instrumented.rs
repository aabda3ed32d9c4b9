#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::__private::service::Shared for Payments {
    fn attributes(&self, __redspan_to: &mut ::redspan::__private::service::Attributes) {
        use ::redspan::__private::service::{
            ViaDisplay as _, ViaLabel as _, ViaNothing as _, ViaPlain as _,
        };
        match self {
            Self { region: __redspan_field0, .. } => {
                ::redspan::__private::service::Attributes::push(
                    __redspan_to,
                    "region",
                    (&&&&::redspan::__private::service::Field(__redspan_field0))
                        .__redspan_value(),
                );
            }
        }
    }
    fn labels(
        &self,
        __redspan_to: &mut dyn ::core::ops::FnMut(
            &[::redspan::__private::service::Choice<'_>],
        ),
    ) {
        __redspan_to(&[::redspan::__private::closed(&self.region)]);
    }
}
#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::__private::service::Service for Payments {
    const INFO: &'static ::redspan::__private::service::Info = &::redspan::__private::service::Info {
        component: "payments",
        labels: &["region"],
    };
}
