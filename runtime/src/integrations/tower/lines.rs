//! The lines that say when a request came and what became of it.

use super::super::http::instruments::Labels;
use crate::log::ms;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use ::http::Method;
use std::net::IpAddr;
use std::time::Duration;

/// What lines say of a request that its numbers do not.
pub(super) struct Told {
    /// Without the query: secrets stand there. None of a tunnel.
    path: Option<String>,
    /// Of strangers' own making, if it is none of HTTP's.
    method: Method,
    /// Who asked, if that is to be shown.
    client: Option<IpAddr>,
}

/// How a request ended.
pub(super) struct Ended<'a> {
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    pub(super) route: Option<&'a str>,
    pub(super) labels: &'a Labels,
    pub(super) sent: u64,
    pub(super) failed: Option<&'a Failed>,
}

impl Told {
    /// Says that it has begun, within its span.
    pub(super) fn started(
        method: &Method,
        path: &str,
        route: Option<&str>,
        client: Option<IpAddr>,
    ) -> Told {
        let path = Some(path).filter(|path| !path.is_empty());
        tracing::debug!(
            name: "http.server.request.started",
            target: "redspan::tower",
            {
                http.request.method = method.as_str(),
                http.route = route,
                url.path = path,
                client.address = client.map(display),
            },
            "request started"
        );
        Told { path: path.map(str::to_owned), method: method.clone(), client }
    }

    /// Says how it ended, within its span.
    pub(super) fn completed(&self, ended: &Ended<'_>) {
        macro_rules! say {
            ($say:ident) => {
                tracing::$say!(
                    name: "http.server.request.completed",
                    target: "redspan::tower",
                    {
                        http.request.method = self.method.as_str(),
                        http.route = ended.route,
                        url.path = self.path.as_deref(),
                        client.address = self.client.map(display),
                        http.response.status_code = ended.labels.status,
                        http.response.body.size = ended.sent,
                        duration_ms = ms(ended.took),
                        outcome = ended.outcome.as_str(),
                        error.type = ended.error_type(),
                        exception.message = ended.failed.and_then(|failed| failed.message.as_deref()),
                    },
                    "request completed"
                )
            };
        }
        match ended.outcome {
            Outcome::Ok => say!(info),
            Outcome::Cancelled => say!(warn),
            Outcome::Error | Outcome::Panic => say!(error),
        }
    }
}

impl Ended<'_> {
    fn error_type(&self) -> Option<&str> {
        self.failed.map(|failed| &*failed.error_type).or(self.labels.error)
    }
}
