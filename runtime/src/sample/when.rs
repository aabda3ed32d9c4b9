//! Conditions of [`rules`](super::rules): what the span is.
//!
//! Where a text ends in `*`, whatever begins with the rest fits.

use super::Sampling;
use opentelemetry::{Key, Value};

/// The span's name.
pub fn name(text: impl Into<String>) -> impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static {
    let text = Text::new(text);
    move |span| text.fits(span.name)
}

/// The annotated function's own name, whatever its span's is.
pub fn function(text: impl Into<String>) -> impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static {
    let text = Text::new(text);
    move |span| span.site.is_some_and(|site| text.fits(site.function()))
}

/// The module that holds the annotated function, or one above it: `shop` has `shop::payments`.
pub fn module(path: impl Into<String>) -> impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static {
    let path = Text::new(path);
    move |span| {
        span.site.is_some_and(|site| {
            let module = site.module();
            let below = module.strip_prefix(&*path.text).is_some_and(|rest| rest.starts_with("::"));
            path.fits(module) || below
        })
    }
}

/// The request's route (`http.route`: `/users/{id}`) or, where none is known at the start, its path
/// (`url.path`: `/users/17`).
pub fn route(text: impl Into<String>) -> impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static {
    let text = Text::new(text);
    move |span| {
        let said = |key| match value(span, key) {
            Some(Value::String(route)) => Some(route.as_str()),
            _ => None,
        };
        said("http.route").or_else(|| said("url.path")).is_some_and(|route| text.fits(route))
    }
}

/// An attribute known at the start has that value. Fields of `#[instrumented]` are not among them:
/// they are evaluated after the decision.
pub fn attribute(
    key: impl Into<Key>,
    is: impl Into<Value>,
) -> impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static {
    let (key, is) = (key.into(), is.into());
    move |span| value(span, key.as_str()) == Some(&is)
}

fn value<'a>(span: &Sampling<'a>, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| &pair.value)
}

struct Text {
    text: Box<str>,
    is_start: bool,
}

impl Text {
    fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        match text.strip_suffix('*') {
            Some(start) => Text { text: start.into(), is_start: true },
            None => Text { text: text.into(), is_start: false },
        }
    }

    fn fits(&self, whole: &str) -> bool {
        if self.is_start { whole.starts_with(&*self.text) } else { whole == &*self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ids;
    use opentelemetry::KeyValue;

    #[test]
    fn a_route_is_the_template_or_else_the_path() {
        let path = [KeyValue::new("url.path", "/users/17")];
        let both = [path[0].clone(), KeyValue::new("http.route", "/users/{id}")];
        let mut span = Sampling::new(ids::trace_id(), "GET");
        assert!(!route("*")(&span));
        span.attributes = &path;
        assert!(route("/users/17")(&span) && route("/users/*")(&span) && route("*")(&span));
        assert!(!route("/users")(&span));
        span.attributes = &both;
        assert!(route("/users/{id}")(&span) && !route("/users/17")(&span));
    }

    #[test]
    fn attributes_and_names_fit_as_wholes_unless_a_star_says_otherwise() {
        let pairs = [KeyValue::new("debug", true), KeyValue::new("tenant", "gold")];
        let mut span = Sampling::new(ids::trace_id(), "checkout.pay");
        span.attributes = &pairs;
        assert!(attribute("debug", true)(&span) && attribute("tenant", "gold")(&span));
        assert!(!attribute("debug", "true")(&span) && !attribute("tier", "gold")(&span));
        assert!(name("checkout.*")(&span) && name("checkout.pay")(&span));
        assert!(!name("checkout")(&span) && !function("checkout.pay")(&span));
    }
}
