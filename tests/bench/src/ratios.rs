//! What redspan promises, as ratios of rows of one run.

/// One row against another, or against itself with one thread.
pub(crate) struct Ratio {
    /// What it is about.
    pub(crate) says: &'static str,
    pub(crate) redspan: &'static str,
    pub(crate) of: Of,
    pub(crate) key: &'static str,
    /// What it may be at most, with one thread and with four; nothing where it is shown only.
    pub(crate) asked: [Option<f64>; 2],
}

pub(crate) enum Of {
    Peer(&'static str),
    /// Four threads against one.
    OneThread,
}

impl Ratio {
    const fn new(says: &'static str, redspan: &'static str, peer: &'static str) -> Self {
        Ratio { says, redspan, of: Of::Peer(peer), key: "caller_ns", asked: [None; 2] }
    }

    const fn at_most(self, one: f64, four: f64) -> Self {
        Ratio { asked: [Some(one), Some(four)], ..self }
    }

    const fn of_process(self) -> Self {
        Ratio { key: "process_ns", ..self }
    }

    const fn four_threads(redspan: &'static str) -> Self {
        let asked = [None, Some(1.3)];
        Ratio { says: "four threads", redspan, of: Of::OneThread, key: "caller_ns", asked }
    }

    /// Whose rows it is made of.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static str> {
        let peer = match self.of {
            Of::Peer(peer) => Some(peer),
            Of::OneThread => None,
        };
        [Some(self.redspan), peer].into_iter().flatten()
    }

    /// Its values with one thread and with four, where `median` gives a row's.
    pub(crate) fn values(&self, median: impl Fn(&str, usize, &str) -> f64) -> [f64; 2] {
        let own = [0, 1].map(|index| median(self.redspan, index, self.key));
        match self.of {
            Of::Peer(peer) => [0, 1].map(|index| own[index] / median(peer, index, self.key)),
            Of::OneThread => [f64::NAN, own[1] / own[0]],
        }
    }
}

const METRICS: &str = "metrics only";
const UNSAMPLED: &str = "unsampled, nested";
const SAMPLED: &str = "sampled";
const PARTS: &str = "only the parts, no redspan";
const EXPORTING: &str = "sampled and exported, process";

/// In the order of the summary.
pub(crate) const ALL: &[Ratio] = &[
    Ratio::new(METRICS, "redspan-metrics", "red-by-hand").at_most(0.45, 0.06),
    Ratio::new(METRICS, "redspan-metrics", "autometrics").at_most(0.17, 0.06),
    Ratio::new(METRICS, "redspan-metrics", "autometrics-concurrency"),
    Ratio::new(UNSAMPLED, "redspan-unsampled-nested", "tracing-otel-unsampled-nested")
        .at_most(0.05, 0.05),
    Ratio::new(UNSAMPLED, "redspan-unsampled-nested", "tracing-otel+red-unsampled-nested"),
    Ratio::new(UNSAMPLED, "redspan-unsampled-nested", "tracing-otel-lean+red-unsampled-nested"),
    Ratio::new(SAMPLED, "redspan-sampled-root", "tracing-otel-root").at_most(0.10, 0.10),
    Ratio::new(SAMPLED, "redspan-sampled-root", "tracing-otel+red-root"),
    Ratio::new(SAMPLED, "redspan-sampled-root", "tracing-otel-lean+red-root"),
    Ratio::new(SAMPLED, "redspan-sampled-root", "fastrace+red-root").at_most(1.0, 1.0),
    Ratio::new(SAMPLED, "redspan-sampled-root", "fastrace+red+exemplars-root").at_most(0.3, 0.3),
    Ratio::new(EXPORTING, "redspan-exporting", "tracing-otel-exporting")
        .of_process()
        .at_most(0.5, 0.5),
    Ratio::new(EXPORTING, "redspan-exporting", "tracing-otel+red-exporting").of_process(),
    Ratio::new(EXPORTING, "redspan-exporting", "tracing-otel-lean+red-exporting").of_process(),
    Ratio::new(EXPORTING, "redspan-exporting", "fastrace+red-exporting").of_process(),
    // What is left where a promise is missed.
    Ratio::new(PARTS, "parts-clock", "red-by-hand"),
    Ratio::new(PARTS, "parts-clock", "autometrics"),
    Ratio::new(PARTS, "parts-context-root", "tracing-otel-root"),
    Ratio::new(PARTS, "parts-context-root", "fastrace+red+exemplars-root"),
    Ratio::four_threads("redspan-metrics"),
    Ratio::four_threads("redspan-unsampled-nested"),
    Ratio::four_threads("redspan-unsampled-root"),
    Ratio::four_threads("redspan-sampled-root"),
    Ratio::four_threads("redspan-sampled-5-deep"),
];

/// The summary: those ratios whose rows are all among the run's.
pub(crate) fn print(is_there: impl Fn(&str) -> bool, median: impl Fn(&str, usize, &str) -> f64) {
    let shown: Vec<_> = ALL.iter().filter(|ratio| ratio.rows().all(&is_there)).collect();
    if shown.is_empty() {
        return;
    }
    println!("**what is promised, from this run: one / four threads**\n");
    println!("| | row | of | ratio | asked | |");
    println!("|---|---|---|---|---|---|");
    for ratio in shown {
        let values = ratio.values(&median);
        let of = match ratio.of {
            Of::Peer(peer) => peer,
            Of::OneThread => "itself with one thread",
        };
        let pair = |values: [Option<f64>; 2]| match values {
            [None, None] => String::new(),
            values => values
                .map(|value| value.map_or(String::from("–"), |it| format!("{it:.3}")))
                .join(" / "),
        };
        // A ratio that is not there is not held.
        let asked = [0, 1].map(|index| Some((values[index], ratio.asked[index]?)));
        let judged = asked.map(|it| it.map(|(value, most)| value <= most));
        let judged = match judged {
            [None, None] => "",
            judged if judged.into_iter().flatten().all(|held| held) => "held",
            [Some(false), Some(true)] => "missed on one thread",
            [Some(true), Some(false)] => "missed on four",
            _ => "missed",
        };
        println!(
            "| {} | {} | {of} | {} | {} | {judged} |",
            ratio.says,
            ratio.redspan,
            pair(values.map(|value| Some(value).filter(|value| !value.is_nan()))),
            pair(ratio.asked),
        );
    }
}
