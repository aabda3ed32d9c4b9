//! Which events become lines: `RUST_LOG`.

use tracing_core::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// The filter that the value of `RUST_LOG` describes, and a warning if parts of it cannot be used.
///
/// Without a value, or with an empty one, `info`. Directives that cannot be read are named in the warning;
/// the others count. If none can be read, `info`.
///
/// ```
/// let (filter, warning) = redspan::log::filter(Some("warn,my_app=loud"));
/// assert_eq!(filter.to_string(), "warn");
/// assert!(warning.unwrap().contains("my_app=loud"));
/// ```
pub fn filter(spec: Option<&str>) -> (EnvFilter, Option<String>) {
    let (good, bad) = directives(spec);
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(good.join(","))
        .unwrap_or_else(|_| EnvFilter::default().add_directive(LevelFilter::INFO.into()));
    let warning = (!bad.is_empty()).then(|| {
        format!(
            "RUST_LOG: ignored {bad:?} of {:?}; accepted are directives `level`, `target=level` and \
             `target[span{{field=value}}]=level`, separated by commas, where level is one of trace, debug, \
             info, warn, error, off",
            spec.unwrap_or_default(),
        )
    });
    (filter, warning)
}

/// What can be read of `spec`, and what cannot: `EnvFilter` would print that to stderr.
pub(crate) fn directives(spec: Option<&str>) -> (Vec<&str>, Vec<&str>) {
    // It splits at every comma, too.
    let parts = spec.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.partition(|part| {
        part.parse::<Directive>().is_ok() && !nearly_a_level(part) && !is_of_another_grammar(part)
    })
}

/// What other loggers call levels.
const ELSEWHERE: [&str; 7] = ["warning", "err", "fatal", "critical", "verbose", "all", "none"];

/// `debug;hyper=warn`, `info shop=debug`, `shop:debug`, `info/text`, `shop::*=debug`, `shop =debug`: the
/// grammar takes each for the name of a target that there is not, and all others would be silent.
fn is_of_another_grammar(part: &str) -> bool {
    // What stands in brackets may be anything.
    let target = part.split('[').next().unwrap_or_default();
    let target = target.split_once('=').map_or(target, |(target, _)| target);
    // A module may have a level's name.
    let mut modules = target.split("::").filter(|module| !is_level(module));
    modules.any(|it| it.split([' ', '\t', '\n', ';', '|', '/', ':']).any(is_level))
        || target.ends_with([' ', '\t', '*'])
}

fn is_level(word: &str) -> bool {
    ["trace", "debug", "info", "warn", "error", "off"]
        .iter()
        .any(|level| word.eq_ignore_ascii_case(level))
}

/// `inof` is a target by the grammar, and would silence everything else.
fn nearly_a_level(part: &str) -> bool {
    if ELSEWHERE.iter().any(|level| part.eq_ignore_ascii_case(level)) {
        return true;
    }
    let sorted = |word: &[u8]| {
        let mut letters = word.to_ascii_lowercase();
        letters.sort_unstable();
        letters
    };
    let part = part.to_ascii_lowercase().into_bytes();
    ["trace", "debug", "info", "warn", "error"].into_iter().map(str::as_bytes).any(|level| {
        // Where they part, and what is left after a letter too many, too few, or another.
        let at = part.iter().zip(level).take_while(|(a, b)| a == b).count();
        let rest = |word: &[u8], from: usize| word.get(from..).map(<[u8]>::to_vec);
        part != level
            && (sorted(&part) == sorted(level)
                || rest(&part, at) == rest(level, at + 1)
                || rest(&part, at + 1) == rest(level, at)
                || rest(&part, at + 1) == rest(level, at + 1))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_misspelt_level_is_no_target() {
        for word in [
            "inof", "infoo", "inf", "Wran", "debg", "eror", "errror", "tracer", "wern", "warning",
            "ERR", "fatal", "critical", "verbose", "all", "none",
        ] {
            assert!(super::nearly_a_level(word), "{word}");
            let (filter, warning) = super::filter(Some(word));
            assert_eq!(filter.to_string(), "info", "{word}");
            assert!(warning.unwrap().contains(word));
        }
        for word in [
            "info",
            "INFO",
            "off",
            "shop",
            "inventory",
            "my_info",
            "h2",
            "é",
            "infés",
            "warnings",
            "",
        ] {
            assert!(!super::nearly_a_level(word), "{word}");
        }
    }

    use super::filter;

    #[test]
    fn what_other_grammars_say_is_no_target() {
        for part in [
            "debug;hyper=warn",
            "info shop=debug",
            "shop:debug",
            "info|warn",
            "debug/text",
            "shop::*=debug",
            "shop*",
            "shop =debug",
        ] {
            let (filter, warning) = filter(Some(part));
            assert_eq!(filter.to_string(), "info", "{part}");
            assert!(warning.unwrap().contains(part));
        }
        for part in [
            "shop::debug=warn",
            "shop::info",
            "Info",
            "access/log=debug",
            "http access=info",
            "a:b=debug",
            "[charge{id=.*}]=debug",
            "shop[span with info]=debug",
            "shop=off",
        ] {
            assert_eq!(super::directives(Some(part)).1, Vec::<&str>::new(), "{part}");
        }
    }

    #[test]
    fn nothing_set_means_info() {
        for spec in [None, Some(""), Some(" , ")] {
            let (filter, warning) = filter(spec);
            assert_eq!(filter.to_string(), "info");
            assert_eq!(warning, None);
        }
    }

    #[test]
    fn a_bad_directive_is_named_and_the_good_ones_count() {
        let (filter, warning) = filter(Some("debug, hyper=loud ,h2=warn"));
        let mut directives: Vec<_> =
            filter.to_string().split(',').map(str::to_owned).collect::<Vec<_>>();
        directives.sort();
        assert_eq!(directives, ["debug", "h2=warn"]);
        let warning = warning.unwrap();
        for part in ["RUST_LOG", "hyper=loud", "target=level"] {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn what_cannot_be_read_reaches_no_filter_that_would_print_it() {
        let (good, bad) = super::directives(Some("shop=debug, [bad,[charge]=debug,=,[also]=loud"));
        assert_eq!(good, ["shop=debug", "[charge]=debug"]);
        assert_eq!(bad, ["[bad", "=", "[also]=loud"]);
    }

    #[test]
    fn only_bad_directives_mean_info() {
        let (filter, warning) = filter(Some("a=b=c=d"));
        assert_eq!(filter.to_string(), "info");
        assert!(warning.is_some());
    }
}
