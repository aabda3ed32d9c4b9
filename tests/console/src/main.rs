//! Without `init!`, beside console-subscriber and fmt: the same lines and spans with redspan's attributes as
//! with tracing's, a console that sees the tasks, and every call counted. Run it in this folder:
//! `cargo run`.

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::StreamExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

macro_rules! program {
    ($name:ident, $instrument:path) => {
        mod $name {
            use $instrument as instrument;

            #[instrument(target = "shop", err)]
            pub(crate) async fn order(id: u64) -> Result<u64, std::fmt::Error> {
                let waiting = tokio::time::sleep(std::time::Duration::from_millis(1));
                waiting.await;
                tracing::info!(target: "shop", "ordered");
                charge(id).ok_or(std::fmt::Error)
            }

            #[instrument(target = "shop", level = "debug", ret)]
            fn charge(cents: u64) -> Option<u64> {
                (cents > 0).then_some(cents)
            }

            pub(crate) async fn run() {
                for id in [1, 0, 2] {
                    let order = tokio::task::Builder::new().name("order").spawn(order(id));
                    assert_eq!(order.expect("a task").await.expect("no panic").is_ok(), id > 0);
                }
            }
        }
    };
}

program!(theirs, tracing::instrument);
program!(ours, redspan::compat::instrument);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let lines = String::from_utf8(bytes).expect("text");
        let lines = lines.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let fields = line["fields"].as_object_mut().expect("an object");
            fields.remove("time.busy");
            fields.remove("time.idle");
            line.to_string()
        });
        lines.collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

fn main() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let (console, server) = console_subscriber::ConsoleLayer::builder()
        .server_addr(address)
        .publish_interval(Duration::from_millis(20))
        .build();
    let lines = Lines::default();
    let fmt = tracing_subscriber::fmt::layer()
        .json()
        .without_time()
        .with_span_events(FmtSpan::FULL)
        .with_writer(lines.clone())
        .with_filter(filter_fn(|metadata| metadata.target() == "shop"));
    tracing_subscriber::registry().with(console).with(fmt).init();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(server.serve()).expect("a server");
    });
    let page = PrometheusBuilder::new().install_recorder().expect("no other recorder");

    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        theirs::run().await;
        let of_theirs = lines.take();
        ours::run().await;
        let of_ours = lines.take();
        assert!(!of_theirs.is_empty());
        assert_eq!(of_ours, of_theirs);

        let mut client = loop {
            match InstrumentClient::connect(format!("http://{address}")).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let mut updates = client.watch_updates(InstrumentRequest {}).await.expect("updates");
        let updates = updates.get_mut();
        let mut tasks = 0;
        while tasks < 6 {
            let update = tokio::time::timeout(Duration::from_secs(10), updates.next()).await;
            let update = update.expect("in time").expect("not over").expect("an update");
            let new = update.task_update.map_or_else(Vec::new, |tasks| tasks.new_tasks);
            tasks +=
                new.iter().filter(|task| format!("{:?}", task.fields).contains("order")).count();
        }
    });

    let page = page.render();
    // In no particular order: errors with their type, and those before the first one, at zero.
    let count = |labels: [&str; 2]| -> f64 {
        let lines = page.lines().filter(|line| {
            line.starts_with("function_calls_total") && labels.iter().all(|it| line.contains(it))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    for (function, outcome, expected) in
        [("order", "ok", 2.0), ("order", "error", 1.0), ("charge", "ok", 3.0)]
    {
        let labels = [&*format!("function=\"{function}\""), &*format!("outcome=\"{outcome}\"")];
        assert_eq!(count(labels), expected, "{page}");
    }
    println!("beside the console: the same lines, six tasks seen, six calls counted");
}
