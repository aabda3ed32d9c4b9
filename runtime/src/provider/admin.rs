//! The pages of the admin listener.

use super::builder::Builder;
use super::error::InitError;
use super::health::Health;
use super::metrics::{BEFORE_SCRAPE, before_reading};
use crate::config::env::{Instead, Warning};
use crate::config::settings::{MetricsExporter, Settings};
use crate::expose::http::{AdminListener, Pages};
use crate::in_flight;
use crate::log::LogHandle;
use crate::metrics::snapshot::Identity as Service;
use crate::span::engine;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

/// The builder's word on the listener.
#[derive(Default)]
pub(super) struct Admin {
    address: Option<SocketAddr>,
}

impl Builder {
    /// Serves `/metrics`, `/health` and `/in-flight` there. Environment:
    /// `OTEL_METRICS_EXPORTER=prometheus` with `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`; `127.0.0.1:9464` by default. Port 0 takes a free
    /// one ([`Telemetry::metrics_address`](crate::Telemetry::metrics_address)).
    ///
    /// On a loopback address only requests to `localhost` or to an IP address are answered, others with 421: a
    /// page that a browser shows must not read it by a name of its own. On any other address names do not matter.
    ///
    /// A page is packed (gzip) for a scraper that asks for that, as Prometheus does.
    ///
    /// Numbers that are floating-point ones have a point (gauges: `1.0`), counts have none.
    pub fn metrics_at(mut self, address: SocketAddr) -> Self {
        self.admin.address = Some(address);
        self
    }
}

impl Admin {
    pub(super) fn listener(
        &self,
        settings: &Settings,
        service: &Service,
        logs: LogHandle,
        sent: bool,
        says: &mut Vec<String>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<AdminListener>, InitError> {
        let asked = settings.metrics_exporters.contains(&MetricsExporter::Prometheus);
        let address = match self.address {
            _ if settings.sdk_disabled => return Ok(None),
            Some(address) => address,
            None if asked => {
                let host = settings.prometheus_host.as_str();
                // As an IPv6 address stands in a URL.
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                let resolved = (bare.unwrap_or(host), settings.prometheus_port).to_socket_addrs();
                let first = resolved.ok().and_then(|mut addresses| addresses.next());
                first.unwrap_or_else(|| {
                    warnings.push(Warning {
                        variable: "OTEL_EXPORTER_PROMETHEUS_HOST",
                        value: host.to_owned(),
                        accepted: "a host name or an IP address of this machine, such as 127.0.0.1",
                        instead: Instead::Default,
                    });
                    (Ipv4Addr::LOCALHOST, settings.prometheus_port).into()
                })
            }
            None if sent => return Ok(None),
            None => {
                says.push(
                    "/metrics is not served (OTEL_METRICS_EXPORTER=prometheus serves it)".into(),
                );
                return Ok(None);
            }
        };
        let pages = Pages {
            health: Box::new(move || match engine::get() {
                Some(engine) => Health::of(engine, &logs).to_json().to_string(),
                None => String::new(),
            }),
            in_flight: Box::new(in_flight_page),
        };
        let listener = AdminListener::start(address, service.clone(), pages, || {
            before_reading(BEFORE_SCRAPE);
        })
        .map_err(|error| InitError::Listener(error.to_string()))?;
        says.push(format!("metrics at http://{}/metrics", listener.local_addr()));
        Ok(Some(listener))
    }
}

/// A line for each call in flight.
fn in_flight_page() -> String {
    let mut page = String::new();
    for call in in_flight::list() {
        // A `String` takes everything.
        let _ = writeln!(page, "{call}");
    }
    if page.is_empty() { "no calls in flight\n".into() } else { page }
}
