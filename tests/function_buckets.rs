//! Buckets that a program chooses for some of its functions. A process of its own: they are chosen once.

use redspan::instrumented;

#[instrumented]
fn nightly_report() {}

#[instrumented(slo(latency = "2s", target = 99.0))]
fn with_an_objective() {}

#[instrumented]
fn called_before() {}

#[instrumented]
fn any_other() {}

fn bounds(page: &str, function: &str) -> Vec<String> {
    let of_function = format!("function=\"{function}\"");
    let lines = page.lines().filter(|line| {
        line.starts_with("function_calls_duration_seconds_bucket{") && line.contains(&of_function)
    });
    lines
        .filter_map(|line| line.split(",le=\"").nth(1)?.split('"').next().map(str::to_owned))
        .collect()
}

#[test]
fn functions_have_the_buckets_that_were_asked_for_them() {
    called_before();
    let _telemetry = redspan::builder()
        .function_buckets("nightly_report", [1.0, 2.0])
        .function_buckets("nightly_*", [60.0, 300.0, f64::NAN, -1.0])
        .function_buckets("function_buckets::with_*", [1.0, 60.0])
        .function_buckets("called_before", [60.0])
        .install()
        .unwrap();
    nightly_report();
    with_an_objective();
    any_other();
    let page = redspan::recorder().render_openmetrics();
    // The last word counts, and what is no bound is left out.
    assert_eq!(bounds(&page, "nightly_report"), ["60.0", "300.0", "+Inf"]);
    assert_eq!(bounds(&page, "with_an_objective"), ["1.0", "2.0", "60.0", "+Inf"]);
    assert_eq!(bounds(&page, "called_before").len(), 18);
    assert_eq!(bounds(&page, "any_other").len(), 18);
}
