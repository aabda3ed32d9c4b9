//! What became of a request.

use std::fmt;
use std::time::Duration;

/// What became of a request, in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The receiver has taken all of it.
    Taken,
    /// The receiver has taken it, but for so many spans, records or points. None: it took all and has
    /// something to say.
    Partly { rejected: usize, message: String },
    /// The receiver says that it has taken it; what else it says, such as how much of it not, cannot be read.
    Unread,
    /// Nothing was taken, as far as is known.
    Failed(Failure),
}

/// What of a request was not taken, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// How many of its spans, records or points. Which of them nobody says.
    pub(crate) items: usize,
    /// The receiver has looked at each, and would refuse these again.
    pub(crate) refused: bool,
    pub(crate) failure: Failure,
}

impl Sent {
    /// What that comes to for a request of so many items; `None` if all were taken.
    pub(crate) fn missing(self, of: usize) -> Option<Missing> {
        match self {
            Sent::Taken | Sent::Unread => None,
            Sent::Partly { rejected: 0, .. } => None,
            Sent::Partly { rejected, message } => {
                let items = rejected.min(of);
                let why = if message.is_empty() { "nobody said why" } else { &message };
                let text = format!("{items} of {of} were rejected: {why}");
                Some(Missing { items, refused: true, failure: Failure::new("rejected", text) })
            }
            Sent::Failed(failure) => Some(Missing { items: of, refused: false, failure }),
        }
    }

    pub(super) fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Sent::Failed(Failure::new(kind, message))
    }
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A stable word: `connection`, `tls`, `timeout`, `throttled`, `server`, `rejected`, `answer`,
    /// `shutdown`, `already_shutdown` (the process ended first) or `other`.
    pub(crate) kind: &'static str,
    /// What happened, for people; without credentials.
    pub(crate) message: String,
}

impl Failure {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// What came of one attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Done(Sent),
    /// It may pass: to be tried again, after the time that the receiver asked for, if it did.
    Again {
        failure: Failure,
        after: Option<Duration>,
    },
}

impl Attempt {
    pub(super) fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Attempt::Done(Sent::failed(kind, message))
    }
}

/// How much of an answer is read: what is asked for fits in a hundredth of it.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// How much of a receiver's own words is shown.
const MAX_WORDS: usize = 300;

/// The beginning of what a receiver said, if it is text.
pub(super) fn words(text: &str) -> Option<String> {
    // The page of a proxy that stands in between ends its lines as HTTP does.
    let is_space = |c: char| matches!(c, '\n' | '\r' | '\t');
    let text = text.trim();
    let is_text = !text.is_empty() && !text.contains(|c: char| c.is_control() && !is_space(c));
    let text = text.replace("\r\n", "\n");
    is_text
        .then(|| text.chars().take(MAX_WORDS).map(|c| if is_space(c) { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_proxy_is_shown_on_one_line_and_what_steers_a_terminal_is_not() {
        let page = "<html>\r\n<h1>413\tRequest Entity Too Large</h1>\r\n</html>\r\n";
        let shown = words(page);
        assert_eq!(shown.as_deref(), Some("<html> <h1>413 Request Entity Too Large</h1> </html>"));
        assert_eq!((words("\x1b[2Jgone"), words("\r\n"), words("\u{9b}2J")), (None, None, None));
    }

    #[test]
    fn what_a_receiver_only_says_costs_nothing_and_none_rejects_more_than_it_got() {
        let partly = |rejected| Sent::Partly { rejected, message: "why".into() };
        assert_eq!((Sent::Taken.missing(5), partly(0).missing(5)), (None, None));
        let silent = Sent::Partly { rejected: 1, message: String::new() }.missing(5);
        let why = silent.map(|missing| missing.failure.message);
        assert_eq!(why.as_deref(), Some("1 of 5 were rejected: nobody said why"));
        for (rejected, items, text) in
            [(2, 2, "2 of 5 were rejected: why"), (9, 5, "5 of 5 were rejected: why")]
        {
            let failure = Failure::new("rejected", text);
            assert_eq!(
                partly(rejected).missing(5),
                Some(Missing { items, refused: true, failure })
            );
        }
        let failure = Failure::new("timeout", "late");
        let missing = Sent::Failed(failure.clone()).missing(5);
        assert_eq!(missing, Some(Missing { items: 5, refused: false, failure }));
    }
}
