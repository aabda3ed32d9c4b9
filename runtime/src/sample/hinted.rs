//! As the attribute says.

use super::{Decision, Reason, Sampler, Sampling, trace_id_ratio};

/// Follows the hint of `#[instrumented(sample = …)]`; asks `otherwise` where there is none.
///
/// ```
/// use redspan::instrumented;
/// use redspan::sample::{hinted, parent_based, trace_id_ratio};
///
/// #[instrumented(sample = "always")]
/// fn checkout() {}
///
/// #[instrumented(sample = 0.01)]
/// fn health() {}
///
/// // A tenth of all traces, but all that begin with `checkout`.
/// let sampler = parent_based(hinted(trace_id_ratio(0.1)));
/// # #[cfg(all(feature = "testing", feature = "instrument"))] {
/// # let (_, seen) = redspan::testing::sampled_by(sampler).scope(checkout);
/// # assert_eq!(seen.tree(), "checkout\n");
/// # }
/// ```
///
/// Inside [`parent_based`](super::parent_based) a hint decides about the traces that begin with its
/// function, and calls below follow. A share is taken by trace id, as
/// [`trace_id_ratio`] takes it.
///
/// What `init!` sets up follows hints unless the program or `OTEL_TRACES_SAMPLER` names a sampler.
pub fn hinted<S: Sampler>(otherwise: S) -> Hinted<S> {
    Hinted { otherwise }
}

/// See [`hinted`].
#[derive(Clone, Copy, Debug)]
pub struct Hinted<S> {
    otherwise: S,
}

impl<S: Sampler> Sampler for Hinted<S> {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        match span.site.and_then(|site| site.sample_hint()) {
            Some(ratio) => {
                span.because(Reason::HINT);
                trace_id_ratio(ratio).decide(span.trace_id)
            }
            None => self.otherwise.sample(span),
        }
    }

    fn reads_attributes(&self) -> bool {
        self.otherwise.reads_attributes()
    }

    fn describe(&self) -> String {
        // The word of the sampler beneath: where no function has a hint it is all there is.
        self.otherwise.describe()
    }
}
