//! By what it is: the first rule that fits decides.

use super::{Decision, Reason, Sampler, Sampling};
use std::fmt;

/// Asks the sampler of the first rule whose condition holds, and `otherwise` when none does.
///
/// A condition is a closure; [`when`](super::when) has the usual ones. "All of checkout, one health
/// check in a hundred, and a tenth of the rest":
///
/// ```
/// use redspan::instrumented;
/// use redspan::sample::{AlwaysOn, parent_based, rules, trace_id_ratio, when};
///
/// #[instrumented]
/// fn checkout() {}
///
/// let sampler = parent_based(
///     rules(trace_id_ratio(0.1))
///         .rule("checkout", when::function("checkout"), AlwaysOn)
///         .rule("health", when::route("/health*"), trace_id_ratio(0.01))
///         .rule("slow_kinds", |span: &redspan::sample::Sampling<'_>| span.links.len() > 8, AlwaysOn),
/// );
/// # #[cfg(all(feature = "testing", feature = "instrument"))] {
/// # let (_, seen) = redspan::testing::sampled_by(sampler).scope(checkout);
/// # let labels = [("reason", "checkout"), ("decision", "sample")];
/// # assert_eq!(seen.counter("redspan_sampler_decisions", &labels), Some(1));
/// # }
/// ```
///
/// A rule's name is the reason by which its decisions are counted.
pub fn rules<S: Sampler>(otherwise: S) -> Rules<S> {
    Rules { rules: Vec::new(), otherwise }
}

type Condition = Box<dyn Fn(&Sampling<'_>) -> bool + Send + Sync>;

struct Rule {
    reason: Reason,
    condition: Condition,
    sampler: Box<dyn Sampler>,
}

/// See [`rules`].
pub struct Rules<S> {
    rules: Vec<Rule>,
    otherwise: S,
}

impl<S> Rules<S> {
    /// Adds a rule behind those there are.
    pub fn rule(
        mut self,
        name: &str,
        condition: impl Fn(&Sampling<'_>) -> bool + Send + Sync + 'static,
        sampler: impl Sampler,
    ) -> Self {
        self.rules.push(Rule {
            reason: Reason::named(name),
            condition: Box::new(condition),
            sampler: Box::new(sampler),
        });
        self
    }
}

impl<S: Sampler> Sampler for Rules<S> {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        let Some(rule) = self.rules.iter().find(|rule| (rule.condition)(span)) else {
            return self.otherwise.sample(span);
        };
        let decision = rule.sampler.sample(span);
        span.because(rule.reason);
        decision
    }

    fn describe(&self) -> String {
        let rules = self
            .rules
            .iter()
            .map(|rule| format!("{}={}", rule.reason.name(), rule.sampler.describe()));
        let otherwise = format!("else {}", self.otherwise.describe());
        format!("rules({})", rules.chain([otherwise]).collect::<Vec<_>>().join(", "))
    }
}

impl<S: Sampler> fmt::Debug for Rules<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
