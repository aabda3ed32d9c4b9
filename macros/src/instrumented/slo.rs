//! The option `slo(…)`: what the function promises.

use proc_macro2::{Group, Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit};

use crate::attrs;
use crate::diag::Diag;
use crate::options::SLO;
use crate::paths;

/// What all `slo(…)` of one function say.
#[derive(Default)]
pub(crate) struct Objectives {
    name: Option<String>,
    /// The share of calls that succeed, in percent, as written.
    success: Option<String>,
    /// A duration in nanoseconds, and the share of calls that take no longer.
    latency: Option<(u64, String)>,
}

/// One more `slo(…)`; `key` is where messages about all of it point.
pub(crate) fn add(objectives: &mut Objectives, key: &Ident, list: Group, diag: &mut Diag) {
    let (mut success, mut latency, mut target) = (None, None, None);
    let before = diag.len();
    let entries = attrs::entries(list.stream(), "latency = \"250ms\"", diag);
    let names: Vec<&str> = SLO.iter().map(|option| option.name).collect();
    let hint = |key: &str| match key {
        "percentile" | "percent" | "objective" | "p90" | "p95" | "p99" => {
            "the percentage of calls is the `target`: `target = 99`".to_owned()
        }
        "threshold" | "duration" | "time" => "it is `latency`: `latency = \"250ms\"`".to_owned(),
        key => attrs::hint(key, &names),
    };
    for entry in attrs::judge_keys_with(entries, SLO, hint, diag) {
        let at = entry.key.clone();
        if at == "success" {
            success = attrs::flag_of(entry, SLO, diag).map(|_| at);
        } else if at == "latency" {
            let text = attrs::text_of(entry, SLO, diag);
            latency = text.and_then(|text| match duration(&text.value()) {
                Ok(nanos) => Some((at, nanos)),
                Err(why) => {
                    diag.at(text.span(), why);
                    None
                }
            });
        } else if at == "target" {
            let value = attrs::value_of(entry, SLO, diag);
            target = value.and_then(|value| percent(&value, diag));
        } else if let Some(name) = attrs::text_of(entry, SLO, diag) {
            let other = objectives.name.as_ref().filter(|other| **other != name.value());
            match other {
                _ if name.value().is_empty() => {
                    diag.at(name.span(), "an objective's name must not be empty")
                }
                Some(other) => {
                    let message = format!(
                        "the function's objectives have one name, and it is `{other}` above"
                    );
                    diag.at(name.span(), message);
                }
                None => objectives.name = Some(name.value()),
            }
        }
    }
    if diag.len() > before {
        return;
    }
    let usage = "`slo(latency = \"250ms\", target = 99.9)` or `slo(success, target = 99.95)`";
    match (success, latency, target) {
        (None, None, _) => diag.at(key.span(), format!("missing what is promised: {usage}")),
        (_, _, None) => {
            diag.at(key.span(), format!("missing `target`, the percentage of calls: {usage}"))
        }
        (Some(at), None, Some(target)) => match &objectives.success {
            Some(_) => diag.at(at.span(), "a second objective for success; keep one of them"),
            None => objectives.success = Some(target),
        },
        (_, Some((at, nanos)), Some(target)) => match &objectives.latency {
            Some(_) => diag.at(at.span(), "a second objective for latency; keep one of them"),
            None => objectives.latency = Some((nanos, target)),
        },
    }
}

/// `250ms` in nanoseconds.
fn duration(text: &str) -> Result<u64, String> {
    const FORM: &str = "a duration is a number with `us`, `ms`, `s` or `m`, such as \"250ms\"";
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let nanos: f64 = match unit.trim() {
        // The sign for micro, and the letter that looks the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 6e10,
        "" => return Err(format!("missing unit in `{text}`: {FORM}")),
        other => return Err(format!("unknown unit `{other}`: {FORM}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no duration: {FORM}"))?;
    let nanos = (number * nanos).round();
    if !(1_000.0..=3.6e12).contains(&nanos) {
        return Err(format!("`{text}` is no latency of a call: from \"1us\" to \"60m\""));
    }
    Ok(nanos as u64)
}

/// The number as written: it becomes a label.
fn percent(value: &Expr, diag: &mut Diag) -> Option<String> {
    let text = match value {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
            Some(number.base10_digits().to_owned())
        }
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Some(number.base10_digits().to_owned()),
        _ => None,
    };
    let percent = text.as_ref().and_then(|text| text.parse::<f64>().ok());
    let text = text.filter(|_| percent.is_some_and(|percent| (1.0..100.0).contains(&percent)));
    if let Some(share) = percent.filter(|percent| *percent > 0.0 && *percent < 1.0) {
        // What is promised to so few would be no promise.
        let percent = (share * 1e8).round() / 1e6;
        let message =
            format!("`target` is a percentage of calls, and no share: `target = {percent}`");
        diag.at(value.span(), message);
    } else if text.is_none() {
        diag.at(
            value.span(),
            "`target` takes a percentage of calls, from 1 to below 100: `target = 99.9`",
        );
    }
    // `99.0` and `99` are one objective.
    text.map(|text| match text.split_once('.') {
        Some((whole, rest)) if rest.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        Some((whole, rest)) => format!("{whole}.{}", rest.trim_end_matches('0')),
        None => text,
    })
}

impl Objectives {
    /// The static, and the field of the site's settings that names it.
    pub(crate) fn expand(&self, function: &str) -> Option<(TokenStream, TokenStream)> {
        if self.success.is_none() && self.latency.is_none() {
            return None;
        }
        let at = Span::mixed_site();
        let private = paths::private();
        let name = Literal::string(self.name.as_deref().unwrap_or(function));
        let success = self.success.as_ref().map(|target| {
            let target = Literal::string(target);
            quote_spanned!(at=> .success(#target))
        });
        let latency = self.latency.as_ref().map(|(nanos, target)| {
            let (nanos, target) = (Literal::u64_suffixed(*nanos), Literal::string(target));
            quote_spanned!(at=> .latency(#nanos, #target))
        });
        let slo = quote_spanned!(at=>
            static __REDSPAN_SLO: #private::Slo = #private::Slo::new(#name) #success #latency;
        );
        let setting = quote_spanned!(at=> slo: ::core::option::Option::Some(&__REDSPAN_SLO),);
        Some((slo, setting))
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(250_000_000));
        assert_eq!(duration("1.5 s"), Ok(1_500_000_000));
        for same in ["50us", "50\u{b5}s", "50 \u{3bc}s"] {
            assert_eq!(duration(same), Ok(50_000), "{same}");
        }
        for wrong in ["250", "ms", "1h", "0ms", "1e3s", "2d", "100m", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
