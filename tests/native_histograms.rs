//! A real Prometheus reads exponential histograms as native ones, and everything else beside them.

use redspan::metrics::{Counter, Histogram, Metrics};
use redspan_tests::prometheus::Prometheus;
use std::time::Duration;

#[derive(redspan::Labels)]
struct By {
    express: bool,
}

#[derive(redspan::Metrics)]
#[metrics(prefix = "native")]
struct Native {
    /// Buckets that follow the values.
    #[metric(unit = "s", exponential)]
    wait: Histogram<By>,
    /// With bounds.
    #[metric(buckets = [1, 2, 4])]
    size: Histogram,
    /// "Odd" \\ texts.
    orders: Counter,
}

#[test]
fn prometheus_reads_what_follows_the_values() {
    if !Prometheus::is_there() {
        return;
    }
    let telemetry = redspan::builder()
        .metrics_at(([127, 0, 0, 1], 0).into())
        .logs(redspan::log::layer().with_writer(std::io::sink()))
        .install()
        .unwrap();
    let native = Native::register().unwrap();
    // From a microsecond to a quarter of an hour, and once nothing at all.
    let values: Vec<f64> = (0..3_000).map(|step| 1e-6 * 1.007f64.powi(step)).collect();
    for value in &values {
        native.wait.with(&By { express: true }).record(*value);
        native.size.record(3.0);
        native.orders.add(2);
    }
    native.wait.with(&By { express: true }).record(0.0);
    let features = "exemplar-storage,native-histograms";
    let address = telemetry.metrics_address().unwrap();
    let prometheus = Prometheus::start_with(address, Duration::from_millis(250), features);
    prometheus.until("scraping", || prometheus.one("native_orders_total") == Some(6_000.0));
    let express = "native_wait_seconds{express=\"true\"}";
    assert_eq!(prometheus.one(&format!("histogram_count({express})")), Some(3_001.0));
    let sum = prometheus.one(&format!("histogram_sum({express})")).unwrap();
    assert!((sum / values.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{sum}");
    for share in [0.1, 0.5, 0.9, 0.99] {
        let quantile = prometheus.one(&format!("histogram_quantile({share}, {express})")).unwrap();
        let exact = values[(share * 3_000.0) as usize];
        assert!((quantile / exact - 1.0).abs() < 0.1, "{share}: {quantile}, {exact}");
    }
    let empty = "histogram_count(native_wait_seconds{express=\"false\"})";
    assert_eq!(prometheus.one(empty), Some(0.0), "a native histogram without values");
    // What has bounds stays as it is.
    assert_eq!(prometheus.one("native_size_bucket{le=\"4.0\"}"), Some(3_000.0));
    assert_eq!(prometheus.one("native_size_sum"), Some(9_000.0));
    prometheus.has_no_complaint();
}
