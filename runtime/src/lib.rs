//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and correlated logs.
