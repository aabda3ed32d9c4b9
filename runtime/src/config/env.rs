//! Reading environment variables: a bad value warns, and what was the default stays.
//!
//! The rules are those of the OpenTelemetry specification, "Environment Variable Specification":
//! an empty value counts as unset, a timeout of zero means no limit, words are compared without
//! case.

#[cfg(any(test, feature = "testing"))]
use std::collections::HashMap;
use std::env::VarError;
use std::fmt;
use std::time::Duration;

/// A variable that could not be used as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The variable's name.
    pub(crate) variable: &'static str,
    /// What it held; hidden where it may be a secret.
    pub(crate) value: String,
    /// What would have been understood.
    pub(crate) accepted: &'static str,
    /// What holds instead.
    pub(crate) instead: Instead,
}

/// What holds in place of a value that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// What would hold without the variable.
    Default,
    /// The others, of several.
    Rest,
    /// The most that may be.
    Most,
    /// All other variables.
    Others,
}

/// Whether another variable says the same for more: that one holds where this one does not.
fn is_particular(variable: &str) -> bool {
    let of_a_signal = ["TRACES_", "METRICS_", "LOGS_"];
    let of_spans = ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"];
    of_spans.contains(&variable)
        || variable.strip_prefix("OTEL_EXPORTER_OTLP_").is_some_and(|what| {
            of_a_signal.iter().any(|signal| what.starts_with(signal))
                && !["TEMPORALITY", "HISTOGRAM"].iter().any(|alone| what.contains(alone))
        })
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning { variable, value, accepted, instead } = self;
        match instead {
            // The default is an address, and nothing is sent there unasked.
            Instead::Default if variable.ends_with("_ENDPOINT") => {
                write!(f, "{variable}={value:?} is ignored as if it were not set")?;
            }
            Instead::Default if is_particular(variable) => write!(
                f,
                "{variable}={value:?} is ignored and the default, or what is said for all, holds"
            )?,
            Instead::Default => {
                write!(f, "{variable}={value:?} is ignored and the default holds")?;
            }
            Instead::Rest => write!(f, "{value:?} in {variable} is ignored and the rest holds")?,
            Instead::Others => {
                write!(f, "{variable}={value:?} is ignored and what the other variables say holds")?
            }
            Instead::Most => write!(f, "{variable}={value:?} is too much and the most holds")?,
        }
        write!(f, ": expected {accepted}")
    }
}

/// What stands in a warning in place of a value that may hold credentials.
pub(crate) const HIDDEN: &str = "(hidden)";

/// "No limit", which the specification allows to be a very long time: 24 days and a half.
const NO_LIMIT: Duration = Duration::from_millis(i32::MAX as u64);

/// Bytes of a file that a variable names: the system's authorities together are some 200 KiB.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

type Lookup = Box<dyn Fn(&'static str) -> Result<String, VarError>>;

/// Variables, and what was wrong with those read so far.
pub(crate) struct Env {
    lookup: Lookup,
    warnings: Vec<Warning>,
}

impl Env {
    /// The variables of this process.
    pub(crate) fn process() -> Self {
        Env::with(std::env::var::<&'static str>)
    }

    /// Variables from elsewhere: tests, so that they need not change those of the process.
    pub(crate) fn with(
        lookup: impl Fn(&'static str) -> Result<String, VarError> + 'static,
    ) -> Self {
        Env { lookup: Box::new(lookup), warnings: Vec::new() }
    }

    /// No variables at all.
    pub(crate) fn none() -> Self {
        Env::with(|_| Err(VarError::NotPresent))
    }

    /// Variables from a table.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of(variables: HashMap<&'static str, &'static str>) -> Self {
        Env::with(move |name| {
            variables.get(name).map(|value| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    /// What was wrong with the variables read so far.
    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    /// Notes that `value` of `variable` could not be used.
    pub(crate) fn warn(
        &mut self,
        variable: &'static str,
        value: impl Into<String>,
        accepted: &'static str,
    ) {
        self.note(Warning { variable, value: value.into(), accepted, instead: Instead::Default });
    }

    /// Notes that `value` of `variable` is more than may be, which is taken.
    pub(super) fn warn_of_too_much(
        &mut self,
        variable: &'static str,
        value: impl Into<String>,
        accepted: &'static str,
    ) {
        self.note(Warning { variable, value: value.into(), accepted, instead: Instead::Most });
    }

    /// Notes that `value`, one of several in `variable`, could not be used.
    fn warn_of_part(&mut self, variable: &'static str, value: &str, accepted: &'static str) {
        self.note(Warning { variable, value: value.into(), accepted, instead: Instead::Rest });
    }

    /// Notes a variable that has no effect, if it is set.
    pub(super) fn warn_if_set(&mut self, variable: &'static str, accepted: &'static str) {
        if let Some(value) = self.text(variable) {
            self.note(Warning { variable, value, accepted, instead: Instead::Others });
        }
    }

    fn note(&mut self, warning: Warning) {
        // What several signals read is wrong once.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The text of a variable, without space around it; `None` if it is unset or empty.
    pub(crate) fn text(&mut self, variable: &'static str) -> Option<String> {
        match (self.lookup)(variable) {
            Ok(value) => Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                self.warn(variable, HIDDEN, "valid UTF-8");
                None
            }
        }
    }

    /// A variable that `parse` understands; a warning if it does not.
    pub(crate) fn parsed<T>(
        &mut self,
        variable: &'static str,
        accepted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(variable)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.warn(variable, value, accepted);
        }
        parsed
    }

    /// The text of the file that a variable names; a warning, which shows only its name, if there is
    /// none or it `is` not what was expected.
    pub(crate) fn file(
        &mut self,
        variable: &'static str,
        accepted: &'static str,
        is: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        let path = self.text(variable)?;
        // A pipe would be waited for, and a device might never end.
        let is_text = |it: std::fs::Metadata| it.is_file() && it.len() <= LARGEST_FILE;
        let text =
            std::fs::metadata(&path).is_ok_and(is_text).then(|| std::fs::read_to_string(&path));
        let text = text.and_then(Result::ok).filter(|text| is(text));
        if text.is_none() {
            self.warn(variable, path, accepted);
        }
        text
    }

    /// `true` or `false`; the specification makes everything else false.
    pub(crate) fn flag(&mut self, variable: &'static str) -> bool {
        let parse = |value: &str| match () {
            () if value.eq_ignore_ascii_case("true") => Some(true),
            () if value.eq_ignore_ascii_case("false") => Some(false),
            () => None,
        };
        self.parsed(variable, "true or false", parse).unwrap_or(false)
    }

    /// How many: zero is a number too.
    pub(crate) fn count(&mut self, variable: &'static str) -> Option<usize> {
        self.parsed(variable, "a whole number", |value| value.parse().ok())
    }

    /// How many, at least one.
    pub(crate) fn positive(&mut self, variable: &'static str) -> Option<usize> {
        let parse = |value: &str| value.parse().ok().filter(|number| *number > 0);
        self.parsed(variable, "a whole number from 1", parse)
    }

    /// How long something may take, in milliseconds; zero is no limit.
    pub(crate) fn timeout(&mut self, variable: &'static str) -> Option<Duration> {
        let accepted = "a whole number of milliseconds, 0 for no limit";
        let limit = self.parsed(variable, accepted, milliseconds)?;
        Some(if limit.is_zero() { NO_LIMIT } else { limit.min(NO_LIMIT) })
    }

    /// How long to wait between two times, in milliseconds.
    pub(crate) fn interval(&mut self, variable: &'static str) -> Option<Duration> {
        let interval = self.parsed(variable, "a whole number of milliseconds", milliseconds)?;
        // Zero asks for "at once": a loop that never sleeps would be the price of taking it as is.
        Some(interval.clamp(Duration::from_millis(1), NO_LIMIT))
    }

    /// The time between two things that come by themselves, in milliseconds: there has to be some.
    pub(crate) fn period(&mut self, variable: &'static str) -> Option<Duration> {
        let parse = |value: &str| milliseconds(value).filter(|period| !period.is_zero());
        let period = self.parsed(variable, "a whole number of milliseconds from 1", parse)?;
        Some(period.min(NO_LIMIT))
    }

    /// A share, from 0 to 1.
    pub(crate) fn ratio(&mut self, variable: &'static str) -> Option<f64> {
        let parse =
            |value: &str| value.parse().ok().filter(|ratio: &f64| (0.0..=1.0).contains(ratio));
        self.parsed(variable, "a number from 0 to 1", parse)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        variable: &'static str,
        accepted: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.parsed(variable, accepted, |value| {
            words.iter().find(|(word, _)| value.eq_ignore_ascii_case(word)).map(|(_, it)| *it)
        })
    }

    /// Some of a few words, parted by commas, each once, or `none`. A word that is not known warns and
    /// is left out, so that a mistake in one does not undo the others; if none is known, `None`.
    pub(crate) fn list<T: Copy + PartialEq>(
        &mut self,
        variable: &'static str,
        accepted: &'static str,
        words: &[(&str, T)],
    ) -> Option<Vec<T>> {
        let text = self.text(variable)?;
        if text.eq_ignore_ascii_case("none") {
            return Some(Vec::new());
        }
        let (mut list, mut unknown) = (Vec::new(), Vec::new());
        for asked in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match words.iter().find(|(word, _)| asked.eq_ignore_ascii_case(word)) {
                Some((_, it)) if list.contains(it) => {}
                Some((_, it)) => list.push(*it),
                None => unknown.push(asked),
            }
        }
        self.warn_of_unknown(variable, &text, accepted, &unknown, list.is_empty());
        Some(list).filter(|list| !list.is_empty())
    }

    /// Words parted by commas; those that are not `valid` warn and are left out. `None` if there is none.
    pub(crate) fn words(
        &mut self,
        variable: &'static str,
        accepted: &'static str,
        valid: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let text = self.text(variable)?;
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let (words, bad): (Vec<&str>, Vec<&str>) = words.partition(|word| valid(word));
        self.warn_of_unknown(variable, &text, accepted, &bad, words.is_empty());
        (!words.is_empty()).then(|| words.into_iter().map(str::to_owned).collect())
    }

    /// Some of several are not understood, or none is.
    fn warn_of_unknown(
        &mut self,
        variable: &'static str,
        text: &str,
        accepted: &'static str,
        unknown: &[&str],
        all: bool,
    ) {
        match all {
            true if !unknown.is_empty() => self.warn(variable, text, accepted),
            _ => unknown.iter().for_each(|it| self.warn_of_part(variable, it, accepted)),
        }
    }

    /// `key=value` pairs parted by commas, percent-decoded: what the W3C Baggage format allows
    /// without its properties. Pairs that cannot be read are left out, each with a warning which
    /// shows them, or says which they are where they are `secret`: headers.
    pub(crate) fn pairs(
        &mut self,
        variable: &'static str,
        secret: bool,
        valid: impl Fn(&str, &str) -> bool,
    ) -> Option<Vec<(String, String)>> {
        let text = self.text(variable)?;
        let mut pairs = Vec::new();
        let all = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        for (place, pair) in (1..).zip(all) {
            match key_value(pair).filter(|(key, value)| valid(key, value)) {
                Some(pair) => pairs.push(pair),
                None => {
                    if secret {
                        let shown = format!("{HIDDEN}, pair {place}");
                        let accepted = "key=value pairs parted by commas, percent-encoded, of headers that \
                                        no request sets by itself";
                        self.warn_of_part(variable, &shown, accepted);
                    } else {
                        let accepted = "key=value pairs parted by commas, percent-encoded";
                        self.warn_of_part(variable, pair, accepted);
                    }
                }
            }
        }
        Some(pairs)
    }
}

/// Whether it is a token of HTTP: a method, or the name of a header.
pub(crate) fn is_token(text: &str) -> bool {
    let special = |b| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || special(b))
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_millis)
}

fn key_value(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (percent_decoded(key.trim())?, percent_decoded(value.trim())?);
    (!key.is_empty()).then_some((key, value))
}

/// Replaces every `%XX`; `None` if one is broken or the bytes are no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(value: &'static str) -> Env {
        Env::of(HashMap::from([("V", value)]))
    }

    /// Reads `value`, and says whether that warned.
    fn read<T>(value: &'static str, read: impl FnOnce(&mut Env, &'static str) -> T) -> (T, bool) {
        let mut env = env(value);
        let it = read(&mut env, "V");
        (it, !env.into_warnings().is_empty())
    }

    #[test]
    fn a_warning_names_variable_value_and_accepted_form() {
        let mut env = env("soon");
        assert_eq!(env.timeout("V"), None);
        let warning = env.into_warnings().remove(0).to_string();
        assert_eq!(
            warning,
            "V=\"soon\" is ignored and the default holds: expected a whole number of milliseconds, 0 \
             for no limit"
        );
    }

    #[test]
    fn a_warning_about_one_of_several_says_that_the_rest_holds() {
        let said = |value, read: fn(&mut Env)| {
            let mut env = env(value);
            read(&mut env);
            env.into_warnings().into_iter().map(|it| it.to_string()).collect::<Vec<_>>()
        };
        let list = |env: &mut Env| drop(env.list("V", "a, or none alone", &[("a", 1)]));
        let rest = "\"none\" in V is ignored and the rest holds: expected a, or none alone";
        assert_eq!(said("a,none", list), [rest]);
        let none = "V=\"b,c\" is ignored and the default holds: expected a, or none alone";
        assert_eq!(said("b,c", list), [none]);
        let pairs = |env: &mut Env| drop(env.pairs("V", false, |_, _| true));
        assert!(said("k=1,z", pairs)[0].starts_with("\"z\" in V is ignored and the rest holds: "));
    }

    #[test]
    fn a_warning_about_one_signal_does_not_claim_that_the_default_holds() {
        let said = |variable| {
            let warned =
                Warning { variable, value: "x".into(), accepted: "y", instead: Instead::Default };
            warned.to_string()
        };
        for variable in
            ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"]
        {
            assert!(said(variable).contains("the default, or what is said for all, holds"));
        }
        for variable in [
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "OTEL_LOGS_EXPORTER",
        ] {
            assert!(said(variable).contains("is ignored and the default holds"));
        }
    }

    #[test]
    fn unset_and_empty_are_the_same_and_warn_about_nothing() {
        assert_eq!(read("", Env::text), (None, false));
        assert_eq!(read("  ", Env::timeout), (None, false));
        assert_eq!(Env::of(HashMap::new()).text("V"), None);
    }

    #[test]
    fn what_is_not_text_warns_without_being_shown() {
        let mut env = Env::with(|_| Err(VarError::NotUnicode("x".into())));
        assert_eq!(env.text("V"), None);
        assert_eq!(env.into_warnings()[0].value, HIDDEN);
    }

    #[test]
    fn only_true_is_true() {
        for (value, flag, warned) in [
            ("true", true, false),
            ("TRUE", true, false),
            ("false", false, false),
            ("1", false, true),
            ("yes", false, true),
        ] {
            assert_eq!(read(value, Env::flag), (flag, warned), "{value}");
        }
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!(read("0", Env::count), (Some(0), false));
        assert_eq!(read("-1", Env::count), (None, true));
        assert_eq!(read("1.5", Env::count), (None, true));
        assert_eq!(read("99999999999999999999999", Env::count), (None, true));
        assert_eq!(read("0", Env::positive), (None, true));
        assert_eq!(read(" 7 ", Env::positive), (Some(7), false));
    }

    #[test]
    fn a_timeout_of_zero_is_no_limit_and_an_interval_of_zero_is_at_once() {
        assert_eq!(read("0", Env::timeout), (Some(NO_LIMIT), false));
        assert_eq!(read("18446744073709551615", Env::timeout), (Some(NO_LIMIT), false));
        assert_eq!(read("250", Env::timeout), (Some(Duration::from_millis(250)), false));
        assert_eq!(read("-250", Env::timeout), (None, true));
        assert_eq!(read("0", Env::interval), (Some(Duration::from_millis(1)), false));
        assert_eq!(read("10s", Env::interval), (None, true));
    }

    #[test]
    fn a_ratio_lies_between_zero_and_one() {
        assert_eq!(read("0.25", Env::ratio), (Some(0.25), false));
        assert_eq!(read("1", Env::ratio), (Some(1.0), false));
        for value in ["1.01", "-0.1", "NaN", "inf", "half"] {
            assert_eq!(read(value, Env::ratio), (None, true), "{value}");
        }
    }

    #[test]
    fn pairs_are_percent_decoded_and_bad_ones_are_left_out() {
        let mut env = env("a=1, b = two%20words ,,c=%C3%A4,=x,nope,d=%zz,e=a=b,f=%FF,g=");
        let pairs = env.pairs("V", false, |_, _| true).unwrap_or_default();
        let expected = [("a", "1"), ("b", "two words"), ("c", "ä"), ("e", "a=b"), ("g", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let bad: Vec<_> = env.into_warnings().into_iter().map(|warning| warning.value).collect();
        assert_eq!(bad, ["=x", "nope", "d=%zz", "f=%FF"]);
    }

    #[test]
    fn secret_pairs_are_never_shown() {
        let mut env = env("authorization=Bearer%20s3cret,s3cret");
        env.pairs("V", true, |key, _| key != "authorization");
        let warnings = env.into_warnings();
        let shown: Vec<_> = warnings.iter().map(|warning| warning.value.as_str()).collect();
        assert_eq!(shown, ["(hidden), pair 1", "(hidden), pair 2"], "which they are");
        assert!(!format!("{warnings:?}").contains("s3cret"), "{warnings:?}");
    }
}
