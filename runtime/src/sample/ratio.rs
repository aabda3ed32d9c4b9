//! A share of all traces, the same ones in every service.

use super::{Decision, Sampler, Sampling};

/// Records the given share of traces, from 0.0 to 1.0.
///
/// The decision is a function of the trace id, the one OpenTelemetry's SDKs use: each service that
/// sees a trace decides the same. A ratio outside the range is taken as its nearer end.
pub fn trace_id_ratio(ratio: f64) -> TraceIdRatio {
    let ratio = if ratio.is_nan() { 0.0 } else { ratio.clamp(0.0, 1.0) };
    // The comparison is on 63 bits, as in the SDKs.
    TraceIdRatio { ratio, below: (ratio * (1u64 << 63) as f64) as u64 }
}

/// See [`trace_id_ratio`].
#[derive(Clone, Copy, Debug)]
pub struct TraceIdRatio {
    ratio: f64,
    below: u64,
}

impl Sampler for TraceIdRatio {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        let [.., a, b, c, d, e, f, g, h] = span.trace_id.to_bytes();
        let low = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if low >> 1 < self.below { Decision::Sample } else { Decision::Drop }
    }

    fn describe(&self) -> String {
        format!("traceidratio({})", self.ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanKind, TraceId};
    use opentelemetry_sdk::trace::{
        Sampler as SdkSampler, SamplingDecision as SdkDecision, ShouldSample,
    };

    #[test]
    fn decides_as_the_sdk_does() {
        for ratio in [0.0, 0.01, 0.1, 0.5, 0.999, 1.0] {
            let ours = trace_id_ratio(ratio);
            let theirs = SdkSampler::TraceIdRatioBased(ratio);
            let mut kept = 0;
            for _ in 0..20_000 {
                let trace_id: TraceId = crate::context::ids::trace_id();
                let kind = SpanKind::Internal;
                let decision = ours.sample(&Sampling {
                    parent: None,
                    trace_id,
                    name: "",
                    kind: &kind,
                    attributes: &[],
                    links: &[],
                });
                let sdk =
                    theirs.should_sample(None::<&Context>, trace_id, "", &kind, &[], &[]).decision;
                assert_eq!(decision == Decision::Sample, sdk == SdkDecision::RecordAndSample);
                kept += u32::from(decision == Decision::Sample);
            }
            assert!((f64::from(kept) / 20_000.0 - ratio).abs() < 0.02, "{ratio}: {kept}");
        }
    }
}
