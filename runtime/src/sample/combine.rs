//! Several samplers as one.

use super::{Decision, Sampler, Sampling};

/// Records what all of them record. They are asked in order, up to the first that does not: put a
/// limit last, so that only what passes the others uses it up.
///
/// ```
/// use redspan::sample::{all_of, rate_limited, trace_id_ratio};
///
/// let sampler = all_of((trace_id_ratio(0.1), rate_limited(100)));
/// ```
pub fn all_of(samplers: impl Several) -> AllOf {
    AllOf { samplers: samplers.into_boxes() }
}

/// Records what any of them records. They are asked in order, up to the first that does.
///
/// ```
/// use redspan::sample::{AlwaysOn, AlwaysOff, any_of, rate_limited, rules, trace_id_ratio, when};
///
/// // A hundredth of everything, and at least ten traces a second where there are as many.
/// let sampler = any_of((trace_id_ratio(0.01), rate_limited(10)));
/// ```
pub fn any_of(samplers: impl Several) -> AnyOf {
    AnyOf { samplers: samplers.into_boxes() }
}

/// Two to six samplers as a tuple, or any number in boxes.
pub trait Several {
    /// One box for each.
    fn into_boxes(self) -> Vec<Box<dyn Sampler>>;
}

impl Several for Vec<Box<dyn Sampler>> {
    fn into_boxes(self) -> Vec<Box<dyn Sampler>> {
        self
    }
}

macro_rules! several {
    ($($name:ident)*) => {
        impl<$($name: Sampler),*> Several for ($($name,)*) {
            fn into_boxes(self) -> Vec<Box<dyn Sampler>> {
                #[expect(non_snake_case, reason = "a value is named as its type")]
                let ($($name,)*) = self;
                vec![$(Box::new($name)),*]
            }
        }
    };
}
several!(A B);
several!(A B C);
several!(A B C D);
several!(A B C D E);
several!(A B C D E F);

/// See [`all_of`].
#[derive(Debug)]
pub struct AllOf {
    samplers: Vec<Box<dyn Sampler>>,
}

/// See [`any_of`].
#[derive(Debug)]
pub struct AnyOf {
    samplers: Vec<Box<dyn Sampler>>,
}

impl Sampler for AllOf {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        // The reason is the last one's that was asked: of the one that refused, if one did.
        let refused = self.samplers.iter().any(|one| alone(one, span) == Decision::Drop);
        if refused { Decision::Drop } else { Decision::Sample }
    }

    fn follows_local_parent(&self) -> bool {
        !self.samplers.is_empty() && self.samplers.iter().all(|one| one.follows_local_parent())
    }

    fn reads_attributes(&self) -> bool {
        self.samplers.iter().any(|one| one.reads_attributes())
    }

    fn describe(&self) -> String {
        described("all_of", &self.samplers)
    }
}

impl Sampler for AnyOf {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        let taken = self.samplers.iter().any(|one| alone(one, span) == Decision::Sample);
        if taken { Decision::Sample } else { Decision::Drop }
    }

    fn follows_local_parent(&self) -> bool {
        !self.samplers.is_empty() && self.samplers.iter().all(|one| one.follows_local_parent())
    }

    fn reads_attributes(&self) -> bool {
        self.samplers.iter().any(|one| one.reads_attributes())
    }

    fn describe(&self) -> String {
        described("any_of", &self.samplers)
    }
}

/// What one of several decides. If it does not say why, what was said before it is not its reason.
fn alone(sampler: &dyn Sampler, span: &Sampling<'_>) -> Decision {
    span.reason.set(None);
    sampler.sample(span)
}

fn described(word: &str, samplers: &[Box<dyn Sampler>]) -> String {
    let each: Vec<String> = samplers.iter().map(|one| one.describe()).collect();
    format!("{word}({})", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ids;
    use crate::sample::{
        AlwaysOff, AlwaysOn, adaptive, parent_based, rate_limited, rules, trace_id_ratio,
    };

    #[test]
    fn the_one_that_settles_it_gives_the_reason_and_nobody_behind_is_asked() {
        let asked = |sampler: &dyn Sampler| {
            let span = Sampling::new(ids::trace_id(), "asked");
            let decision = sampler.sample(&span);
            (decision, span.reason().map(|reason| reason.name()))
        };
        let limit = rate_limited(1);
        assert_eq!(
            asked(&all_of((AlwaysOn, AlwaysOff, limit))),
            (Decision::Drop, Some("always_off"))
        );
        assert_eq!(asked(&any_of((AlwaysOff, AlwaysOn))), (Decision::Sample, Some("always_on")));
        assert_eq!(asked(&any_of((AlwaysOff, AlwaysOff))).0, Decision::Drop);
        let both = all_of((AlwaysOn, rate_limited(1)));
        assert_eq!(asked(&both), (Decision::Sample, Some("rate_limit")));
        assert_eq!(asked(&both), (Decision::Drop, Some("rate_limit")));
        // Boxes, and closures, which know no reason.
        let closure = |_: &Sampling<'_>| Decision::Sample;
        assert_eq!(asked(&all_of((closure, closure))), (Decision::Sample, None));
        assert_eq!(asked(&all_of(Vec::new())).0, Decision::Sample);
        assert_eq!(asked(&any_of(Vec::new())).0, Decision::Drop);
    }

    #[test]
    fn one_that_settles_it_without_a_word_is_not_credited_to_the_one_before() {
        let asked = |sampler: &dyn Sampler| {
            let span = Sampling::new(ids::trace_id(), "asked");
            let decision = sampler.sample(&span);
            (decision, span.reason().map(|reason| reason.name()))
        };
        let takes = |_: &Sampling<'_>| Decision::Sample;
        let refuses = |_: &Sampling<'_>| Decision::Drop;
        assert_eq!(asked(&any_of((AlwaysOff, takes))), (Decision::Sample, None));
        assert_eq!(asked(&all_of((AlwaysOn, refuses))), (Decision::Drop, None));
        assert_eq!(asked(&any_of((refuses, AlwaysOn))), (Decision::Sample, Some("always_on")));
        // One of several within others.
        let nested = all_of((AlwaysOn, any_of((AlwaysOff, takes))));
        assert_eq!(asked(&nested), (Decision::Sample, None));
    }

    #[test]
    fn attributes_are_made_beforehand_only_for_samplers_that_look_at_them() {
        let limited = || all_of((trace_id_ratio(0.1), any_of((rate_limited(1), adaptive(1.0)))));
        assert!(!parent_based(limited()).reads_attributes());
        let closure = |_: &Sampling<'_>| Decision::Sample;
        assert!(all_of((limited(), closure)).reads_attributes());
        assert!(any_of((rules(limited()), limited())).reads_attributes());
    }

    #[test]
    fn local_parents_are_followed_if_all_follow_them() {
        let follow = || parent_based(AlwaysOn);
        assert!(all_of((follow(), follow())).follows_local_parent());
        assert!(!any_of((follow(), AlwaysOn)).follows_local_parent());
    }
}
