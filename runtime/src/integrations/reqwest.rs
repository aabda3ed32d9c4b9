//! A client span around every request that is sent with [`SendTraced::send_traced`].
//!
//! ```
//! use redspan::reqwest::SendTraced;
//!
//! async fn stock(client: &reqwest::Client) -> reqwest::Result<String> {
//!     let response = client.get("http://warehouse/stock").send_traced().await?;
//!     response.error_for_status()?.text().await
//! }
//! ```
//!
//! The span is named by the method, follows OpenTelemetry's [conventions], and its context travels
//! in the request's headers, as the global propagator writes them
//! ([`propagation`](crate::propagation)), so the server's span becomes its child. Of the URL, credentials, query
//! and fragment stay out, also where a function hands on the error, whose text has all of it: a
//! [redaction](crate::redact) takes them out.
//!
//! It covers redirects and ends when the head of the last response has arrived, as
//!
//! * `ok`;
//! * `error`, with a status of 4xx or 5xx (`error.type` is the code), or when there is no response
//!   at all (`error.type` is `timeout`, `dns`, `connect`, `redirect`, `body`, `decode`, `builder`,
//!   `upgrade` or `request`);
//! * `cancelled`, when the future is dropped before.
//!
//! `http.client.request.duration` (a histogram in seconds) is measured with it, by
//! `http.request.method`, `server.address`, `server.port`, `url.scheme`, `http.response.status_code`,
//! `network.protocol.version` and `error.type`.
//!
//! A request that is there already is sent as `RequestBuilder::from_parts(client, request).send_traced()`, in place of
//! `client.execute(request)`. What stands between a program and reqwest, such as reqwest-middleware, sends with [`traced`].
//! What another crate sends with a client that it is given is not seen, and carries no context.
//!
//! A request that is sent again, by a loop around it, is another span each time. What redirects
//! lead to is shown by [`redirects`], and what reqwest itself sends again by [`retries`].
//!
//! Without `init!` no span is recorded, and the current context is passed on all the same.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

use super::http as conventions;
use super::http::sending::{Ending, Numbers, Sending};
use crate::call::classify;
use crate::context::current;
use crate::context::propagation;
use ::http::{Method, StatusCode, Uri};
use ::reqwest::redirect::{Action, Policy};
use ::reqwest::{Error, Request, RequestBuilder, Response, Url, retry};
use opentelemetry::KeyValue;
use opentelemetry::trace::TraceContextExt;
use std::any::type_name;
use std::borrow::Cow;
use std::error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Sends requests as client spans. See the [module](self).
pub trait SendTraced {
    /// Sends the request, as [`RequestBuilder::send`](https://docs.rs/reqwest/0.13/reqwest/struct.RequestBuilder.html#method.send) does, inside a client span.
    ///
    /// The span starts with the first poll, below the span that is current then.
    ///
    /// # Errors
    /// Those of [`RequestBuilder::send`](https://docs.rs/reqwest/0.13/reqwest/struct.RequestBuilder.html#method.send).
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send;

    /// As [`SendTraced::send_traced`], in a span that is named after the URL's template:
    /// `GET /users/{id}`, which is its `url.template` too.
    ///
    /// ```
    /// # use redspan::reqwest::SendTraced;
    /// # async fn user(client: &reqwest::Client, id: u32) -> reqwest::Result<reqwest::Response> {
    /// let request = client.get(format!("http://users/users/{id}"));
    /// request.send_traced_to("/users/{id}").await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`RequestBuilder::send`](https://docs.rs/reqwest/0.13/reqwest/struct.RequestBuilder.html#method.send).
    fn send_traced_to(self, template: &str)
    -> impl Future<Output = Result<Response, Error>> + Send;

    /// As [`SendTraced::send_traced_to`], with the template that a closure finds for the request: one for all
    /// requests of a client. Without one the span is named by the method.
    ///
    /// ```
    /// # use redspan::reqwest::SendTraced;
    /// # use std::borrow::Cow;
    /// fn template(request: &reqwest::Request) -> Option<Cow<'static, str>> {
    ///     request.url().path().starts_with("/users/").then_some(Cow::Borrowed("/users/{id}"))
    /// }
    ///
    /// # async fn user(client: &reqwest::Client, id: u32) -> reqwest::Result<reqwest::Response> {
    /// client.get(format!("http://users/users/{id}")).send_traced_by(template).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`RequestBuilder::send`](https://docs.rs/reqwest/0.13/reqwest/struct.RequestBuilder.html#method.send).
    fn send_traced_by<'a, N>(
        self,
        template: N,
    ) -> impl Future<Output = Result<Response, Error>> + Send
    where
        N: FnOnce(&Request) -> Option<Cow<'a, str>> + Send;
}

impl SendTraced for RequestBuilder {
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send {
        send(self, |_| None)
    }

    fn send_traced_to(
        self,
        template: &str,
    ) -> impl Future<Output = Result<Response, Error>> + Send {
        send(self, move |_| Some(Cow::Borrowed(template)))
    }

    fn send_traced_by<'a, N>(
        self,
        template: N,
    ) -> impl Future<Output = Result<Response, Error>> + Send
    where
        N: FnOnce(&Request) -> Option<Cow<'a, str>> + Send,
    {
        send(self, template)
    }
}

/// A request on its way. What an `async fn` is given stays beside what it makes of that, and a future lies in
/// all that wait for it: here one takes the other's place.
enum Stage<N, F> {
    Asked(Option<(RequestBuilder, N)>),
    /// Dropped in this order.
    Sent(F, Sending),
    Over,
}

fn send<'a, N>(
    request: RequestBuilder,
    template: N,
) -> impl Future<Output = Result<Response, Error>> + Send
where
    N: FnOnce(&Request) -> Option<Cow<'a, str>> + Send,
{
    let mut stage = Stage::Asked(Some((request, template)));
    poll_fn(move |context| {
        if let Stage::Asked(asked) = &mut stage
            && let Some((request, template)) = asked.take()
        {
            let (client, request) = request.build_split();
            let mut request = request?;
            let template = template(&request);
            let sending = begin(&mut request, template.as_deref());
            stage = Stage::Sent(client.execute(request), sending);
        }
        let Stage::Sent(executing, sending) = &mut stage else {
            // Polled after it was ready.
            return Poll::Pending;
        };
        let head = |answer: &Response| (answer.status(), answer.version());
        let polled = sending.poll(|| Pin::new(executing).poll(context), head, judge);
        if polled.is_ready() {
            stage = Stage::Over;
        }
        polled
    })
}

/// Begins the span of a request, and lets it send its context.
fn begin(request: &mut Request, template: Option<&str>) -> Sending {
    let url = request.url();
    let scheme = if url.scheme() == "https" { "https" } else { "http" };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let full = || Some(without_secrets(url));
    let sending = Sending::begin(request.method(), scheme, host, port, template, full);
    propagation::inject_context(sending.span.context(), request.headers_mut());
    sending
}

/// Sends a request by a function of yours, as [`SendTraced::send_traced`] does by its client: for what stands between a
/// program and reqwest, such as reqwest-middleware, of which this is a middleware:
///
/// ```
/// # mod reqwest_middleware {
/// #     pub type Result<T> = std::result::Result<T, Error>;
/// #     #[derive(Debug)] pub enum Error { Middleware, Reqwest(reqwest::Error) }
/// #     impl std::fmt::Display for Error {
/// #         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") }
/// #     }
/// #     impl std::error::Error for Error {}
/// #     pub struct Next<'a>(&'a ());
/// #     impl Next<'_> {
/// #         pub async fn run(self, _: reqwest::Request, _: &mut http::Extensions) -> Result<reqwest::Response> {
/// #             Err(Error::Middleware)
/// #         }
/// #     }
/// #     pub trait Middleware {
/// #         fn handle(&self, request: reqwest::Request, extensions: &mut http::Extensions, next: Next<'_>)
/// #         -> impl Future<Output = Result<reqwest::Response>> + Send;
/// #     }
/// # }
/// use reqwest_middleware::{Error, Middleware, Next, Result};
///
/// struct Traced;
///
/// # /*
/// #[async_trait::async_trait]
/// # */
/// impl Middleware for Traced {
///     async fn handle(
///         &self,
///         request: reqwest::Request,
///         extensions: &mut http::Extensions,
///         next: Next<'_>,
///     ) -> Result<reqwest::Response> {
///         let send = |request| next.run(request, extensions);
///         redspan::reqwest::traced(request, send, |error| match error {
///             Error::Reqwest(error) => Some(error),
///             _ => None,
///         })
///         .await
///     }
/// }
/// ```
///
/// Behind one that sends again, as reqwest-retry does, each attempt is a span.
///
/// `of_reqwest` finds reqwest's own error in one of yours (`|error| Some(error)` where it is that), whose words are then
/// those of the [module](self); where it finds none, the error is named by the innermost type behind it that is known
/// ([`name_error`](crate::name_error)), or its own.
///
/// # Errors
/// Those of `send`.
pub async fn traced<F, E>(
    mut request: Request,
    send: impl FnOnce(Request) -> F,
    of_reqwest: impl FnOnce(&E) -> Option<&Error>,
) -> Result<Response, E>
where
    F: Future<Output = Result<Response, E>>,
    E: error::Error + 'static,
{
    let mut sending = begin(&mut request, None);
    let mut executing = pin!(sending.span.inside(|| send(request)));
    let mut of_reqwest = Some(of_reqwest);
    poll_fn(|context| {
        let head = |answer: &Response| (answer.status(), answer.version());
        let judge = |numbers: &mut Numbers, error: &E| match of_reqwest
            .take()
            .and_then(|of_reqwest| of_reqwest(error))
        {
            Some(of_reqwest) => judge(numbers, of_reqwest),
            None => {
                let (error_type, failed) = classify::known(error, type_name::<E>());
                numbers.failed(error_type, failed)
            }
        };
        sending.poll(|| executing.as_mut().poll(context), head, judge)
    })
    .await
}

/// The URL without what may be secret or personal: nobody named it.
fn without_secrets(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        // Both stand at the end, each after a sign of its own.
        let after = |part: Option<&str>| part.map_or(0, |part| part.len() + 1);
        let shown = url.as_str().len() - after(url.query()) - after(url.fragment());
        return url.as_str()[..shown].to_owned();
    }
    let mut url = url.clone();
    // Refused where a URL cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn judge(numbers: &mut Numbers, error: &Error) -> Ending {
    let error_type = error_type(error);
    numbers.failed(error_type, classify::described(error_type, error))
}

/// Shows the redirects that a client follows: each becomes an event `http.redirect` on the request's span,
/// with the status that asked for it and the URL it leads to; and so does one that the policy refuses with an error. The
/// policy decides as it did.
///
/// ```
/// use reqwest::redirect::Policy;
///
/// let client = reqwest::Client::builder()
///     .redirect(redspan::reqwest::redirects(Policy::limited(5)))
///     .build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn redirects(policy: Policy) -> Policy {
    Policy::custom(move |attempt| {
        let about = vec![
            KeyValue::new("url.full", without_secrets(attempt.url())),
            conventions::status(attempt.status()),
        ];
        let action = policy.redirect(attempt);
        if !stops(&action) {
            current::with(|context| context.span().add_event("http.redirect", about));
        }
        action
    })
}

/// Whether the client is content with the answer that asks for a redirect. Nothing else tells it of an action.
fn stops(action: &Action) -> bool {
    format!("{action:?}") == "Action { inner: Stop }"
}

/// An attempt to send a request, as [`retries`] shows it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Where it was sent to.
    pub uri: &'a Uri,
    /// The status of the answer; none if there is no answer.
    pub status: Option<StatusCode>,
    /// Why there is no answer.
    pub error: Option<&'a (dyn error::Error + 'static)>,
}

/// Shows what a client sends again by itself: each attempt that `again` wants repeated becomes an event
/// `http.retry` on the request's span, with the status or the error that it came to. Attempts are no spans of their
/// own: the span covers them all, and says what the last one came to.
///
/// `again` takes the place of a classifier in `policy`, which still decides how often, and for which host; without
/// a budget left an attempt has its event and is not repeated.
///
/// ```
/// use redspan::reqwest::{Attempt, retries};
/// use reqwest::{Method, StatusCode, retry};
///
/// let is_busy = |attempt: &Attempt<'_>| {
///     attempt.method == Method::GET && attempt.status == Some(StatusCode::SERVICE_UNAVAILABLE)
/// };
/// let policy = retry::for_host("warehouse").max_retries_per_request(2);
/// let client = reqwest::Client::builder().retry(retries(policy, is_busy)).build()?;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn retries<F>(policy: retry::Builder, again: F) -> retry::Builder
where
    F: Fn(&Attempt<'_>) -> bool + Send + Sync + 'static,
{
    policy.classify_fn(move |answer| {
        let (status, error) = (answer.status(), answer.error());
        let attempt = Attempt { method: answer.method(), uri: answer.uri(), status, error };
        if !again(&attempt) {
            return answer.success();
        }
        let error = error.and_then(|error| error.downcast_ref()).map(error_type);
        let error = error.map(|error| KeyValue::new("error.type", error));
        let about = status.map(conventions::status).into_iter().chain(error).collect();
        current::with(|context| context.span().add_event("http.retry", about));
        answer.retryable()
    })
}

/// Words that stay the same when texts and types of the libraries below change.
fn error_type(error: &Error) -> &'static str {
    match () {
        // A connection that took too long is a timeout, a name that was not found a failed connection.
        () if error.is_timeout() => "timeout",
        () if error.is_dns() => "dns",
        () if error.is_connect() => "connect",
        () if error.is_redirect() => "redirect",
        () if error.is_body() => "body",
        () if error.is_decode() => "decode",
        () if error.is_builder() => "builder",
        () if error.is_upgrade() => "upgrade",
        () if error.is_request() => "request",
        () => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_credentials_and_query() {
        for (url, shown) in [
            ("https://me:secret@host:8443/a/b?token=1#here", "https://host:8443/a/b"),
            ("http://host/?q", "http://host/"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("http://host:81/a%3Fb?c#d?e", "http://host:81/a%3Fb"),
            ("http://host/a#b?c", "http://host/a"),
            ("http://host/a?#", "http://host/a"),
            ("http://host/a#", "http://host/a"),
            ("http://host/é?ü#ß", "http://host/%C3%A9"),
            ("http://me@host/a?b", "http://host/a"),
            ("data:text/plain?x#y", "data:text/plain"),
        ] {
            assert_eq!(without_secrets(&Url::parse(url).unwrap()), shown);
        }
    }

    #[test]
    fn a_request_on_its_way_lies_where_it_was_asked_for() {
        let request = ::reqwest::Client::new().get("http://host/");
        let size = size_of_val(&request.send_traced());
        assert!(size <= size_of::<RequestBuilder>() + 32, "{size}");
    }
}
