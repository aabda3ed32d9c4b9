//! Eight threads write while pages are fetched every 10 ms, and a real Prometheus scrapes as well: no
//! counter goes back, and no histogram disagrees with itself.
//!
//! `REDSPAN_LONG=1` makes it last a minute.

use redspan::metrics::{Counter, Histogram, Metrics, UpDownCounter};
use redspan::{Label, instrumented};
use redspan_tests::page;
use redspan_tests::prometheus::Prometheus;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Label)]
enum Region {
    Eu,
    Us,
    Asia,
}

#[derive(redspan::Labels)]
struct Placed {
    region: Region,
    express: bool,
}

#[derive(redspan::Metrics)]
#[metrics(prefix = "shop")]
struct Shop {
    /// Orders placed.
    orders: Counter<Placed>,
    /// Everybody's.
    hot: Counter,
    /// All of the same size, so that the sum tells the count.
    #[metric(buckets = [1, 2, 4])]
    basket: Histogram,
    /// The same, with buckets that follow the values.
    #[metric(exponential)]
    spread: Histogram,
    /// Comes back to zero.
    open: UpDownCounter,
}

#[instrumented]
fn order(n: u64) -> Result<u64, std::num::ParseIntError> {
    let text = if n.is_multiple_of(3) { "none" } else { "12" };
    text.parse()
}

fn write(shop: &Shop, thread: u64, done: &AtomicBool) -> u64 {
    let text = thread.to_string();
    for n in 0.. {
        if done.load(Relaxed) {
            return n;
        }
        let region = [Region::Eu, Region::Us, Region::Asia].into_iter().nth(n as usize % 3);
        let region = region.unwrap_or(Region::Eu);
        shop.orders.with(&Placed { region, express: n.is_multiple_of(2) }).increment();
        shop.hot.increment();
        shop.basket.record(3.0);
        shop.spread.record(3.0);
        shop.open.increment();
        metrics::counter!("by_macro", "thread" => text.clone()).increment(1);
        metrics::histogram!("by_macro_size").record(2.0);
        let _ = order(n);
        shop.open.decrement();
    }
    0
}

/// What a page must hold by itself, and against the one before.
fn check(page: &str, before: &mut BTreeMap<String, f64>) {
    assert!(page.ends_with("# EOF\n"));
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let line = line.split(" # ").next().unwrap();
        let (series, value) = line.rsplit_once(' ').expect(line);
        samples.insert(series.to_owned(), value.parse::<f64>().expect(line));
    }
    for (series, value) in &samples {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let rises = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
        if rises && let Some(earlier) = before.get(series) {
            assert!(value >= earlier, "{series} went back from {earlier} to {value}");
        }
        let Some(family) = name.strip_suffix("_count") else { continue };
        let between = if labels == "}" { "" } else { "," };
        let labels = labels.trim_end_matches('}');
        let all = &samples[&format!("{family}_bucket{{{labels}{between}le=\"+Inf\"}}")];
        assert_eq!(all, value, "{family} disagrees with itself");
        let each = match family {
            "shop_basket" | "shop_spread" => 3.0,
            "by_macro_size" => 2.0,
            _ => continue,
        };
        assert_eq!(samples[&format!("{family}_sum")], value * each, "{family}: sum and count");
    }
    *before = samples;
}

#[test]
fn pages_are_consistent_while_eight_threads_write() {
    let long = std::env::var("REDSPAN_LONG").is_ok_and(|it| it == "1");
    let lasts = Duration::from_secs(if long { 60 } else { 4 });
    let telemetry = redspan::builder()
        .metrics_at(([127, 0, 0, 1], 0).into())
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .install()
        .unwrap();
    let shop = Shop::register().unwrap();
    let address = telemetry.metrics_address().unwrap();
    let prometheus =
        Prometheus::is_there().then(|| Prometheus::start(address, Duration::from_millis(250)));
    if let Some(prometheus) = &prometheus {
        // It looks for its targets every few seconds.
        prometheus.until("scraping", || prometheus.scrapes() >= 2.0);
    }
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut pages = 0;
    thread::scope(|scope| {
        for thread in 0..8 {
            let (shop, done, written) = (&shop, &done, &written);
            scope.spawn(move || written.fetch_add(write(shop, thread, done), Relaxed));
        }
        let mut before = BTreeMap::new();
        let start = Instant::now();
        while start.elapsed() < lasts {
            let page = page::get(address, "/metrics", Duration::from_secs(30)).unwrap();
            check(&page, &mut before);
            pages += 1;
            thread::sleep(Duration::from_millis(10));
        }
        done.store(true, Relaxed);
    });
    let written = written.load(Relaxed);
    let page = page::get(address, "/metrics", Duration::from_secs(30)).unwrap();
    let sum = |start: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(start));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    for name in ["shop_orders_total", "shop_hot_total", "by_macro_total", "shop_spread_count"] {
        assert_eq!(sum(name), written as f64, "{name} lost something");
    }
    assert_eq!(sum("shop_open "), 0.0);
    if let Some(prometheus) = &prometheus {
        let hot = || prometheus.one("shop_hot_total").unwrap_or_default();
        prometheus.until("up to date", || hot() == written as f64);
        let counters =
            ["shop_orders_total", "shop_hot_total", "by_macro_total", "shop_basket_bucket"];
        for counter in counters.into_iter().chain(["shop_spread_count", "function_calls_total"]) {
            let resets = prometheus.one(&format!("sum(resets({counter}[10m]))"));
            assert_eq!(resets, Some(0.0), "{counter}");
        }
        prometheus.has_no_complaint();
        println!("{} scrapes by Prometheus", prometheus.scrapes());
    }
    println!("{written} rounds of eight threads, {pages} pages");
    assert!(pages > 20);
}
