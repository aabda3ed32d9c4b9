#[automatically_derived]
#[allow(deprecated)]
impl ::redspan::ErrorType for E {
    #[inline]
    fn error_type(&self) -> &'static ::core::primitive::str {
        match self {
            Self::Declined { .. } => "declined",
            Self::Away { 0: __redspan_error, .. } => {
                match {
                    use ::redspan::__private::inner::*;
                    (&&::redspan::__private::Inner(__redspan_error)).__redspan_inner()
                } {
                    ::core::option::Option::Some(__redspan_error) => {
                        ::redspan::ErrorType::error_type(__redspan_error)
                    }
                    ::core::option::Option::None => "away",
                }
            }
            Self::Over { .. } => "limit",
        }
    }
    #[inline]
    fn blame(&self) -> ::redspan::Blame {
        match self {
            Self::Declined { .. } => ::redspan::Blame::Client,
            Self::Away { 0: __redspan_error, .. } => {
                match {
                    use ::redspan::__private::inner::*;
                    (&&::redspan::__private::Inner(__redspan_error)).__redspan_inner()
                } {
                    ::core::option::Option::Some(__redspan_error) => {
                        ::redspan::ErrorType::blame(__redspan_error)
                    }
                    ::core::option::Option::None => ::redspan::Blame::Server,
                }
            }
            Self::Over { .. } => ::redspan::Blame::Server,
        }
    }
    #[inline]
    fn retryable(&self) -> ::core::primitive::bool {
        match self {
            Self::Declined { .. } => false,
            Self::Away { 0: __redspan_error, .. } => {
                match {
                    use ::redspan::__private::inner::*;
                    (&&::redspan::__private::Inner(__redspan_error)).__redspan_inner()
                } {
                    ::core::option::Option::Some(__redspan_error) => {
                        ::redspan::ErrorType::retryable(__redspan_error)
                    }
                    ::core::option::Option::None => false,
                }
            }
            Self::Over { .. } => false,
        }
    }
    #[inline]
    fn level(&self) -> ::core::option::Option<::redspan::Level> {
        match self {
            Self::Declined { .. } => ::core::option::Option::None,
            Self::Away { 0: __redspan_error, .. } => {
                match {
                    use ::redspan::__private::inner::*;
                    (&&::redspan::__private::Inner(__redspan_error)).__redspan_inner()
                } {
                    ::core::option::Option::Some(__redspan_error) => {
                        ::redspan::ErrorType::level(__redspan_error)
                    }
                    ::core::option::Option::None => ::core::option::Option::None,
                }
            }
            Self::Over { .. } => ::core::option::Option::None,
        }
    }
}
