//! A share of all traces, the same ones in every service.

use super::{Decision, Reason, Sampler, Sampling};
use opentelemetry::trace::TraceId;

/// Records the given share of traces, from 0.0 to 1.0.
///
/// The decision is a function of the trace id, the one OpenTelemetry's SDKs use: each service that
/// sees a trace decides the same, and what a small ratio records a larger one records too. A ratio
/// outside the range is taken as its nearer end.
///
/// ```
/// use redspan::sample::{Decision, Sampler, Sampling, trace_id_ratio};
///
/// let a_tenth = trace_id_ratio(0.1);
/// let one_trace = Sampling::new(0x0af7651916cd43dd_0448eb211c80319c_u128.into(), "GET /");
/// assert_eq!(a_tenth.sample(&one_trace), Decision::Sample);
/// ```
pub fn trace_id_ratio(ratio: f64) -> TraceIdRatio {
    let ratio = if ratio.is_nan() { 0.0 } else { ratio.clamp(0.0, 1.0) };
    TraceIdRatio { ratio, below: share(ratio) }
}

/// See [`trace_id_ratio`].
#[derive(Clone, Copy, Debug)]
pub struct TraceIdRatio {
    ratio: f64,
    below: u64,
}

/// Where a trace lies among all: 63 bits of its id, the ones that OpenTelemetry's SDKs compare.
pub(super) fn place(trace_id: TraceId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = trace_id.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
}

/// Up to which place the share of all traces lies that `ratio` names.
pub(super) fn share(ratio: f64) -> u64 {
    (ratio * (1u64 << 63) as f64) as u64
}

impl TraceIdRatio {
    pub(super) fn decide(self, trace_id: TraceId) -> Decision {
        if place(trace_id) < self.below { Decision::Sample } else { Decision::Drop }
    }
}

impl Sampler for TraceIdRatio {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        span.because(Reason::RATIO);
        self.decide(span.trace_id)
    }

    fn reads_attributes(&self) -> bool {
        false
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
                let decision = ours.sample(&Sampling::new(trace_id, ""));
                let sdk =
                    theirs.should_sample(None::<&Context>, trace_id, "", &kind, &[], &[]).decision;
                assert_eq!(decision == Decision::Sample, sdk == SdkDecision::RecordAndSample);
                kept += u32::from(decision == Decision::Sample);
            }
            assert!((f64::from(kept) / 20_000.0 - ratio).abs() < 0.02, "{ratio}: {kept}");
        }
    }
}
