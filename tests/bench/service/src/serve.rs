//! One service, in a process of its own, and what the rounds ask it over a line: how much CPU time it
//! has had, and how many spans it has sampled.

use crate::control::{self, process_cpu};
use axum::Router;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::prelude::*;

/// Whether the service writes its log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// JSON lines to stdout: each variant by its own means.
    Lines,
    Off,
}

impl Log {
    /// tracing-subscriber's JSON lines, as a service without redspan has them.
    pub(crate) fn install_plain(self) {
        if self == Log::Lines {
            let lines = tracing_subscriber::fmt::layer().json();
            let lines = lines.with_filter(tracing_subscriber::filter::LevelFilter::INFO);
            tracing_subscriber::registry().with(lines).init();
        }
    }
}

/// What a service is given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) variant: String,
    /// Its `service.name`, by which the receiver counts.
    pub(crate) name: String,
    pub(crate) control: SocketAddr,
    pub(crate) receiver: String,
    pub(crate) warehouse: SocketAddr,
    /// None: in memory.
    pub(crate) database: Option<String>,
    pub(crate) connections: u32,
    pub(crate) ratio: f64,
    pub(crate) first_order: i64,
    pub(crate) log: Log,
}

impl Given {
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        vec![
            self.variant.clone(),
            self.name.clone(),
            self.control.to_string(),
            self.receiver.clone(),
            self.warehouse.to_string(),
            self.database.clone().unwrap_or_default(),
            self.connections.to_string(),
            self.ratio.to_string(),
            self.first_order.to_string(),
            String::from(if self.log == Log::Lines { "lines" } else { "off" }),
        ]
    }

    /// What OpenTelemetry's variables say: the same for all.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let lines = if self.log == Log::Lines { "console" } else { "none" };
        [
            ("OTEL_SERVICE_NAME", &*self.name),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*self.receiver),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", &*self.ratio.to_string()),
            ("OTEL_LOGS_EXPORTER", lines),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", "0"),
            // Room for what a round records, so that nobody drops any of it for want of room.
            ("OTEL_BSP_MAX_QUEUE_SIZE", "65536"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    pub(crate) fn of_arguments(arguments: &[String]) -> anyhow::Result<Self> {
        let [variant, name, control, receiver, warehouse, database, connections, ratio, first, log] =
            arguments
        else {
            anyhow::bail!("a service is started by the table, not by hand");
        };
        Ok(Given {
            variant: variant.clone(),
            name: name.clone(),
            control: control.parse()?,
            receiver: receiver.clone(),
            warehouse: warehouse.parse()?,
            database: Some(database.clone()).filter(|url| !url.is_empty()),
            connections: connections.parse()?,
            ratio: ratio.parse()?,
            first_order: first.parse()?,
            log: if log == "lines" { Log::Lines } else { Log::Off },
        })
    }
}

/// A service that is ready, and how its telemetry is asked.
pub(crate) struct Served {
    pub(crate) routes: Router,
    /// Sends all that was recorded.
    pub(crate) flush: Box<dyn Fn() + Send>,
    /// Spans that were sampled.
    pub(crate) sampled: Box<dyn Fn() -> u64 + Send>,
}

impl Served {
    pub(crate) fn new(routes: Router) -> Self {
        Served { routes, flush: Box::new(|| {}), sampled: Box::new(|| 0) }
    }
}

/// Serves, until the rounds have heard enough.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let given = Given::of_arguments(arguments)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let control = given.control;
    let (served, address) = runtime.block_on(async {
        let mut served = match &*given.variant {
            "bare" => crate::bare::serve(given).await?,
            "redspan" => crate::annotated::serve(given).await?,
            "tracing" => crate::by_hand::serve(given).await?,
            "fastrace" => crate::fastraced::serve(given).await?,
            other => anyhow::bail!("no service {other}"),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let routes = std::mem::take(&mut served.routes);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok((served, address))
    })?;
    let mut says = TcpStream::connect(control)?;
    let asks = BufReader::new(says.try_clone()?);
    writeln!(says, "{address}")?;
    for line in asks.lines() {
        if line? != control::MARK {
            break;
        }
        // What was recorded until now is paid for now.
        (served.flush)();
        writeln!(says, "{} {}", process_cpu().as_nanos(), (served.sampled)())?;
    }
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}
