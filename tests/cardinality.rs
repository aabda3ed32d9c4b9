//! A million distinct label values: bounded in memory, visible, and no other metric notices.

use redspan::metrics::{Counter, Histogram, Metrics};
use redspan_tests::{Lines, process};

#[derive(redspan::Labels)]
struct Of {
    #[label(cap = 100)]
    user: String,
    vip: bool,
}

#[derive(redspan::Metrics)]
#[metrics(prefix = "crowd")]
struct Crowd {
    /// By user, of whom a hundred are told apart.
    seen: Counter<Of>,
    /// Not by user.
    all: Counter,
    /// Not by user either.
    size: Histogram,
}

const MILLION: u64 = 1_000_000;

#[test]
fn a_million_values_are_bounded_visible_and_disturb_nobody() {
    let test = "a_million_values_are_bounded_visible_and_disturb_nobody";
    process::alone(test, &[], || {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .series_limit("requests", 500)
            .logs(redspan::log::layer().json().with_writer(lines.clone()))
            .install()
            .unwrap();
        let crowd = Crowd::register().unwrap();
        let kept = metrics::counter!("requests", "user" => "0", "route" => "/");
        let before = process::resident();
        for user in 0..MILLION {
            metrics::counter!("requests", "user" => user.to_string(), "route" => "/").increment(1);
            crowd
                .seen
                .with(&Of { user: user.to_string(), vip: user.is_multiple_of(2) })
                .increment();
            crowd.all.increment();
            crowd.size.record(1.0);
            kept.increment(1);
        }
        let grown = process::resident().zip(before).map(|(now, before)| now.saturating_sub(before));
        let page = redspan::recorder().render_openmetrics();
        let value = |series: &str| -> u64 {
            let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{series} is not there")).parse().unwrap()
        };
        let sum = |name: &str| -> u64 {
            let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
        };
        let count =
            |name: &str| page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
        // Nothing is lost, and what has no place of its own is seen.
        assert_eq!(sum("requests_total"), 2 * MILLION);
        assert_eq!(count("requests_total"), 501);
        let over = "requests_total{route=\"__overflow__\",user=\"__overflow__\"}";
        assert_eq!(value(over), MILLION - 500);
        assert_eq!(value("redspan_metric_overflow_total{metric=\"requests\"}"), MILLION - 500);
        assert_eq!(
            value("requests_total{route=\"/\",user=\"0\"}"),
            MILLION + 1,
            "a handle goes on"
        );
        // Only the label that is without bound gives way: the other one still tells.
        assert_eq!(sum("crowd_seen_total"), MILLION);
        assert_eq!(count("crowd_seen_total"), 102);
        let over = "crowd_seen_total{user=\"__overflow__\",vip=\"true\"}";
        assert_eq!(value(over), (MILLION - 100) / 2);
        // The others did not notice.
        assert_eq!(value("crowd_all_total"), MILLION);
        assert_eq!(value("crowd_size_count"), MILLION);
        // One warning for each metric, which names the metric and the label.
        drop(telemetry);
        let lines = lines.text();
        let warned: Vec<_> = lines.lines().filter(|line| line.contains("too many")).collect();
        assert_eq!(warned.len(), 2, "{warned:#?}");
        for (line, metric) in warned.iter().zip([["crowd.seen", "user"], ["requests", "user"]]) {
            assert!(metric.iter().all(|word| line.contains(&format!("`{word}`"))), "{line}");
        }
        assert!(warned[1].contains("`user` alone has 500 values"), "{}", warned[1]);
        println!("memory grew by {grown:?} bytes");
        if let Some(grown) = grown {
            assert!(grown < 16 << 20, "memory grew by {grown} bytes");
        }
    });
}

#[test]
fn an_idle_series_is_left_out_and_comes_back_where_it_was() {
    use std::time::Duration;
    let test = "an_idle_series_is_left_out_and_comes_back_where_it_was";
    process::alone(test, &[], || {
        let idle = Duration::from_millis(40);
        let telemetry = redspan::builder()
            .forget_idle_series(idle)
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        let page = || redspan::recorder().render_openmetrics();
        let crowd = Crowd::register().unwrap();
        let held = metrics::counter!("visits", "user" => "held");
        held.increment(5);
        metrics::counter!("visits", "user" => "gone").increment(3);
        let typed = crowd.seen.with(&Of { user: "ann".into(), vip: true }).into_owned();
        typed.add(2);
        let first = page();
        for line in ["visits_total{user=\"held\"} 5", "visits_total{user=\"gone\"} 3"] {
            assert!(first.contains(line), "{first}");
        }
        std::thread::sleep(2 * idle);
        let second = page();
        assert!(!second.contains("visits_total{") && !second.contains("crowd_seen_total{"));
        assert!(second.contains("crowd_all_total 0\n"), "what has no labels is always there");
        // A handle goes on where it was; what nobody held begins anew.
        held.increment(1);
        typed.increment();
        metrics::counter!("visits", "user" => "gone").increment(1);
        let third = page();
        for line in [
            "visits_total{user=\"held\"} 6",
            "visits_total{user=\"gone\"} 1",
            "crowd_seen_total{user=\"ann\",vip=\"true\"} 3",
        ] {
            assert!(third.contains(line), "{line} is not in\n{third}");
        }
        drop(telemetry);
    });
}
