//! An instrumented service under load, in a process of its own, which is asked what it holds or costs.

use crate::load::Load;
use redspan::Telemetry;
use redspan::export::{Batching, OtlpSettings, OtlpSink};
use redspan_tests::{Front, Transport, process};
use std::env;
use std::time::Duration;

const ENDPOINT: &str = "REDSPAN_TEST_ENDPOINT";
const AUTHORITY: &str = "REDSPAN_TEST_AUTHORITY";
const TRANSPORT: &str = "REDSPAN_TEST_TRANSPORT";

/// What the service has to know.
pub(crate) fn variables(front: &Front, transport: Transport) -> Vec<(&'static str, String)> {
    vec![
        (ENDPOINT, front.url()),
        (AUTHORITY, front.authority().pem()),
        (TRANSPORT, format!("{transport:?}")),
    ]
}

fn variable(name: &str) -> String {
    env::var(name).expect("the other process says")
}

/// Installs redspan in this process, for as long as an export may take.
pub(crate) fn install(
    endpoint: &str,
    authority: &str,
    transport: Transport,
    timeout: Duration,
) -> Telemetry {
    let settings = match transport {
        Transport::Http => OtlpSettings::http(endpoint),
        Transport::Grpc => OtlpSettings::grpc(endpoint),
    };
    redspan::builder()
        .spans_to(
            OtlpSink::new(settings.timeout(timeout).ca_certificate(authority)).expect("a sink"),
        )
        .batching(Batching::default().delay(Duration::from_millis(100)).queue(4_096))
        .install()
        .expect("installed")
}

/// Works, so many calls at once, until it is told to `end`; `looks` answers everything else but `health`, given the durations
/// of the calls since the last time.
pub(crate) fn run(at_once: u32, mut looks: impl FnMut(&str, Vec<Duration>) -> String) {
    let transport = match variable(TRANSPORT).as_str() {
        "Http" => Transport::Http,
        _ => Transport::Grpc,
    };
    let timeout = Duration::from_secs(2);
    let telemetry = install(&variable(ENDPOINT), &variable(AUTHORITY), transport, timeout);
    let mut load = Some(Load::start(2, at_once));
    process::answer(|asked| match asked {
        "health" => telemetry.health().to_string().replace('\n', "; "),
        "end" => {
            let calls = load.take().map_or(0, Load::stop);
            let done = telemetry.shutdown(Duration::from_secs(5));
            let stats = telemetry.spans();
            assert!(done, "{}", telemetry.health());
            let all = stats.running + stats.pending + stats.exported + stats.dropped();
            assert_eq!(stats.sampled, all, "{stats:?}");
            assert_eq!(stats.sampled, 2 * calls, "{stats:?}");
            format!("{calls} calls; {stats:?}")
        }
        _ => looks(asked, load.as_ref().map_or(Vec::new(), Load::take)),
    });
}
