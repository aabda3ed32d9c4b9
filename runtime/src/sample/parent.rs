//! The parent decides.

use super::{Decision, Reason, Sampler, Sampling};

/// Follows the parent, local or remote; asks `root` when there is none.
///
/// ```
/// use redspan::sample::{parent_based, trace_id_ratio};
///
/// let ten_percent = parent_based(trace_id_ratio(0.1));
/// ```
///
/// Each of the four kinds of parent can have a sampler of its own. A service whose callers are not
/// to be trusted with its budget:
///
/// ```
/// use redspan::sample::{parent_based, rate_limited, trace_id_ratio};
///
/// let sampler = parent_based(trace_id_ratio(0.1)).remote_sampled(rate_limited(100));
/// ```
///
/// With a sampler for local parents it is asked about every span, also below unsampled calls, and
/// traces may have holes.
pub fn parent_based<S: Sampler>(root: S) -> ParentBased<S> {
    ParentBased {
        root,
        remote_sampled: None,
        remote_not_sampled: None,
        local_sampled: None,
        local_not_sampled: None,
    }
}

/// See [`parent_based`].
#[derive(Debug)]
pub struct ParentBased<S> {
    root: S,
    remote_sampled: Option<Box<dyn Sampler>>,
    remote_not_sampled: Option<Box<dyn Sampler>>,
    local_sampled: Option<Box<dyn Sampler>>,
    local_not_sampled: Option<Box<dyn Sampler>>,
}

impl<S> ParentBased<S> {
    /// Asked below a caller's span that is sampled; by default it is recorded.
    pub fn remote_sampled(mut self, sampler: impl Sampler) -> Self {
        self.remote_sampled = Some(Box::new(sampler));
        self
    }

    /// Asked below a caller's span that is not sampled; by default it is not recorded.
    pub fn remote_not_sampled(mut self, sampler: impl Sampler) -> Self {
        self.remote_not_sampled = Some(Box::new(sampler));
        self
    }

    /// Asked below a span of this process that is sampled; by default it is recorded.
    pub fn local_sampled(mut self, sampler: impl Sampler) -> Self {
        self.local_sampled = Some(Box::new(sampler));
        self
    }

    /// Asked below a span of this process that is not sampled; by default it is not recorded.
    pub fn local_not_sampled(mut self, sampler: impl Sampler) -> Self {
        self.local_not_sampled = Some(Box::new(sampler));
        self
    }
}

impl<S: Sampler> Sampler for ParentBased<S> {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        let Some(parent) = span.parent else { return self.root.sample(span) };
        let (branch, otherwise) = match (parent.is_remote(), parent.is_sampled()) {
            (true, true) => (&self.remote_sampled, Decision::Sample),
            (true, false) => (&self.remote_not_sampled, Decision::Drop),
            (false, true) => (&self.local_sampled, Decision::Sample),
            (false, false) => (&self.local_not_sampled, Decision::Drop),
        };
        if let Some(branch) = branch {
            return branch.sample(span);
        }
        let remote = parent.is_remote();
        span.because(if remote { Reason::REMOTE_PARENT } else { Reason::LOCAL_PARENT });
        otherwise
    }

    fn follows_local_parent(&self) -> bool {
        self.local_sampled.is_none() && self.local_not_sampled.is_none()
    }

    fn reads_attributes(&self) -> bool {
        let branches = [
            &self.remote_sampled,
            &self.remote_not_sampled,
            &self.local_sampled,
            &self.local_not_sampled,
        ];
        let mut asked = branches.into_iter().flatten();
        self.root.reads_attributes() || asked.any(|sampler| sampler.reads_attributes())
    }

    fn of_roots(&self) -> Option<Decision> {
        self.root.of_roots()
    }

    fn describe(&self) -> String {
        let mut text = format!("parentbased_{}", self.root.describe());
        for (word, branch) in [
            ("remote_sampled", &self.remote_sampled),
            ("remote_not_sampled", &self.remote_not_sampled),
            ("local_sampled", &self.local_sampled),
            ("local_not_sampled", &self.local_not_sampled),
        ] {
            if let Some(branch) = branch {
                text += &format!(" {word}={}", branch.describe());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ids;
    use crate::sample::{AlwaysOff, AlwaysOn};
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    fn parent(remote: bool, sampled: bool) -> SpanContext {
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        SpanContext::new(ids::trace_id(), ids::span_id(), flags, remote, TraceState::NONE)
    }

    fn asked(sampler: &dyn Sampler, parent: Option<&SpanContext>) -> (Decision, &'static str) {
        let mut span = Sampling::new(ids::trace_id(), "asked");
        span.parent = parent;
        let decision = sampler.sample(&span);
        (decision, span.reason().unwrap().name())
    }

    #[test]
    fn each_kind_of_parent_has_its_branch() {
        let kinds = [(true, true), (true, false), (false, true), (false, false)];
        let plain = parent_based(AlwaysOff);
        for (remote, sampled) in kinds {
            let decision = if sampled { Decision::Sample } else { Decision::Drop };
            let reason = if remote { "remote_parent" } else { "local_parent" };
            assert_eq!(asked(&plain, Some(&parent(remote, sampled))), (decision, reason));
        }
        assert_eq!(asked(&plain, None), (Decision::Drop, "always_off"));

        for turned in kinds {
            let sampler = parent_based(AlwaysOn);
            // The opposite of what the branch does by default.
            let sampler = match turned {
                (true, true) => sampler.remote_sampled(AlwaysOff),
                (true, false) => sampler.remote_not_sampled(AlwaysOn),
                (false, true) => sampler.local_sampled(AlwaysOff),
                (false, false) => sampler.local_not_sampled(AlwaysOn),
            };
            for kind in kinds {
                let sampled = kind.1 != (kind == turned);
                let decision = if sampled { Decision::Sample } else { Decision::Drop };
                assert_eq!(asked(&sampler, Some(&parent(kind.0, kind.1))).0, decision);
            }
            assert_eq!(asked(&sampler, None).0, Decision::Sample);
            assert_eq!(sampler.follows_local_parent(), turned.0, "{}", sampler.describe());
        }
    }
}
