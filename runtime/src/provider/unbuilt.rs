//! What is asked for and this program was built without. That ends no program: whoever sets a variable for all
//! of them does not know how each was built.

use crate::config::preset::Preset;
use crate::config::settings::{LogsExporter, MetricsExporter, Settings, TracesExporter};

/// Says it, for each feature that is missing.
pub(super) fn warnings(settings: &Settings, preset: Option<Preset>) -> Vec<String> {
    if settings.sdk_disabled {
        return Vec::new();
    }
    let asked = [
        ("spans", settings.traces_exporters.contains(&TracesExporter::Otlp)),
        ("metrics", settings.metrics_exporters.contains(&MetricsExporter::Otlp)),
        ("log records", settings.logs_exporters.contains(&LogsExporter::Otlp)),
    ];
    let asked: Vec<_> =
        asked.into_iter().filter(|(_, asked)| *asked).map(|(what, _)| what).collect();
    let mut said = Vec::new();
    if cfg!(not(feature = "otlp")) && !asked.is_empty() {
        let what = asked.join(" and ");
        said.push(format!(
            "{what} are asked for over OTLP and not sent: this program was built without redspan's feature \
             `otlp`; OTEL_TRACES_EXPORTER=none, OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=console ask for \
             nothing"
        ));
    }
    // A preset takes what there is.
    let page = settings.metrics_exporters.contains(&MetricsExporter::Prometheus);
    if cfg!(not(feature = "prometheus")) && page && preset.is_none() {
        said.push(
            "OTEL_METRICS_EXPORTER asks for /metrics, which is not served: this program was built without \
             redspan's feature `prometheus`"
                .into(),
        );
    }
    said
}

/// That nothing is measured is the same as that nothing happened: the start-up line tells which it is.
pub(super) fn says() -> Option<String> {
    let off = "annotated functions are neither traced nor measured (redspan's feature `instrument` is off)";
    cfg!(not(feature = "instrument")).then(|| off.into())
}

#[cfg(test)]
mod tests {
    use super::{says, warnings};
    use crate::config::env::Env;
    use crate::config::settings::Settings;
    use std::collections::HashMap;

    #[test]
    fn that_no_function_is_instrumented_is_said_at_the_start() {
        assert_eq!(says().is_some(), cfg!(not(feature = "instrument")));
    }

    #[test]
    fn what_the_program_was_built_without_is_a_warning_and_no_error() {
        let of = |variables: &[(&'static str, &'static str)]| {
            let env = Env::of(variables.iter().copied().collect::<HashMap<_, _>>());
            warnings(&Settings::read(env, None).0, None).join("; ")
        };
        let said = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318")]);
        assert_eq!(said.contains("spans and metrics and log records"), cfg!(not(feature = "otlp")));
        let said = of(&[("OTEL_METRICS_EXPORTER", "otlp,prometheus")]);
        assert_eq!(said.contains("metrics are asked for"), cfg!(not(feature = "otlp")), "{said}");
        assert_eq!(said.contains("/metrics"), cfg!(not(feature = "prometheus")), "{said}");
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "otlp")]), "");
    }
}
