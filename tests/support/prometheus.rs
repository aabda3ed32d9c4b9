//! A real Prometheus.

use crate::page;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// One that scrapes a service, until it is dropped.
pub struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Whether it is installed; says so if it is not.
    ///
    /// # Panics
    /// If it is not, and `REDSPAN_REQUIRE_SERVERS=1` asks for it.
    pub fn is_there() -> bool {
        let mut version = Command::new("prometheus");
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        let there = version.status().is_ok_and(|status| status.success());
        if !there {
            crate::skipped("`prometheus` is not installed", "apt-get install prometheus");
        }
        there
    }

    /// Starts one that scrapes `target` so often.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(target: SocketAddr, every: Duration) -> Self {
        Prometheus::start_with(target, every, "exemplar-storage")
    }

    /// The same, with these features of its own.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_with(target: SocketAddr, every: Duration, features: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("redspan-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let configuration = format!(
            "global: {{ scrape_interval: {}ms }}\n\
             scrape_configs: [ {{ job_name: service, static_configs: [ {{ targets: \
             [ \"{target}\" ] }} ] }} ]\n",
            every.as_millis()
        );
        std::fs::write(folder.join("prometheus.yml"), configuration).unwrap();
        // Free now, and soon taken.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--enable-feature={features}"))
            // Scrapes that fail are a matter for debugging to it.
            .arg("--log.level=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Prometheus { process, address, folder };
        prometheus.until("ready", || page::get(address, "/-/ready", LONG).is_ok());
        prometheus
    }

    /// Waits until `done`.
    ///
    /// # Panics
    /// If it takes forever.
    pub fn until(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < LONG, "Prometheus is not {what}:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has logged.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// The scrapes that brought a page.
    pub fn scrapes(&self) -> f64 {
        self.one("sum_over_time(up[10m])").unwrap_or_default()
    }

    /// Nothing of what it scraped was wrong. A busy machine may be late with a page, or not serve yet.
    ///
    /// # Panics
    /// If it has something to complain about.
    pub fn has_no_complaint(&self) {
        let log = self.log();
        let wrong = ["level=warn", "level=error", "Scrape failed", "Append failed"];
        let late = ["context deadline exceeded", "connection refused"];
        let complaint = |line: &&str| {
            wrong.iter().any(|it| line.contains(it)) && !late.iter().any(|it| line.contains(it))
        };
        let complaints: Vec<_> = log.lines().filter(complaint).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let own = page::get(self.address, "/metrics", LONG).unwrap();
        for name in [
            "prometheus_target_scrapes_exemplar_out_of_order_total",
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "prometheus_target_scrapes_sample_out_of_order_total",
            "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
        ] {
            let line = own.lines().find(|line| line.starts_with(name));
            assert_eq!(line, Some(format!("{name} 0").as_str()));
        }
    }

    /// What its API answers; `parameters` have to be encoded.
    ///
    /// # Panics
    /// If it does not.
    pub fn ask(&self, path: &str) -> Value {
        let answer = page::get(self.address, &format!("/api/v1/{path}"), LONG).unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// The present value of each series, by the values of `labels`.
    ///
    /// # Panics
    /// If it answers with something else.
    pub fn query(&self, query: &str, labels: &[&str]) -> BTreeMap<Vec<String>, f64> {
        let data = self.ask(&format!("query?query={}", encoded(query)));
        let series = data["result"].as_array().unwrap().iter().map(|series| {
            let label = |label| series["metric"][label].as_str().unwrap_or_default().to_owned();
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (labels.iter().map(label).collect(), value)
        });
        let mut sums = BTreeMap::new();
        // Series that differ in other labels are added up.
        series.for_each(|(labels, value): (Vec<_>, f64)| {
            *sums.entry(labels).or_default() += value;
        });
        sums
    }

    /// The first value.
    pub fn one(&self, query: &str) -> Option<f64> {
        self.query(query, &[]).into_values().next()
    }

    /// The exemplars of the last ten minutes.
    ///
    /// # Panics
    /// If it answers with something else.
    pub fn exemplars(&self, query: &str) -> Vec<Exemplar> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let (start, end) = (now - 600, now + 10);
        let query = encoded(query);
        let data = self.ask(&format!("query_exemplars?query={query}&start={start}&end={end}"));
        let mut all = Vec::new();
        for series in data.as_array().unwrap() {
            let series_labels: BTreeMap<String, String> =
                serde_json::from_value(series["seriesLabels"].clone()).unwrap();
            for exemplar in series["exemplars"].as_array().unwrap() {
                let label = |label| exemplar["labels"][label].as_str().unwrap().to_owned();
                all.push(Exemplar {
                    series: series_labels.clone(),
                    ids: (label("trace_id"), label("span_id")),
                    value: exemplar["value"].as_str().unwrap().parse().unwrap(),
                    time: exemplar["timestamp"].as_f64().unwrap(),
                });
            }
        }
        all
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An exemplar as Prometheus has kept it.
#[derive(Debug)]
pub struct Exemplar {
    /// The labels of its series.
    pub series: BTreeMap<String, String>,
    /// Of the trace and of the span.
    pub ids: (String, String),
    /// What was observed.
    pub value: f64,
    /// Seconds since 1970.
    pub time: f64,
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
