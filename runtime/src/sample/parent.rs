//! The parent decides.

use super::{Decision, Sampler, Sampling};

/// Follows the parent, local or remote; asks `root` when there is none.
///
/// ```
/// use redspan::sample::{parent_based, trace_id_ratio};
///
/// let ten_percent = parent_based(trace_id_ratio(0.1));
/// ```
pub fn parent_based<S: Sampler>(root: S) -> ParentBased<S> {
    ParentBased { root }
}

/// See [`parent_based`].
#[derive(Clone, Copy, Debug)]
pub struct ParentBased<S> {
    root: S,
}

impl<S: Sampler> Sampler for ParentBased<S> {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        match span.parent {
            Some(parent) if parent.is_sampled() => Decision::Sample,
            Some(_) => Decision::Drop,
            None => self.root.sample(span),
        }
    }

    fn follows_local_parent(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("parentbased_{}", self.root.describe())
    }
}
