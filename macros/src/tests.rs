//! Every option of every macro, with every mistake that a table can tell: one error each, inside the
//! token that is wrong, naming what is accepted. Written from the table ([`options`](crate::options)).

use std::ops::Range;

use proc_macro2::TokenStream;

use crate::diag::Diag;
use crate::options::{self, Known};

/// Where options are written.
struct Place {
    name: &'static str,
    known: &'static [Known],
    /// Up to the options, and behind them.
    around: (&'static str, &'static str),
    expand: fn(TokenStream, &mut Diag) -> Option<TokenStream>,
}

fn instrumented(args: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    let function = "async fn f(order: Order, message: Message) -> Option<u8> { None }";
    let mut item = function.parse().expect("tokens");
    crate::instrumented::expand(args, &mut item, diag)
}

const PLACES: &[Place] = &[
    Place {
        name: "#[instrumented]",
        known: options::INSTRUMENTED,
        around: ("", ""),
        expand: instrumented,
    },
    Place { name: "slo", known: options::SLO, around: ("slo(", ")"), expand: instrumented },
    Place {
        name: "#[label] on an enum",
        known: options::LABEL_ENUM,
        around: ("#[label(", ")] enum E { A }"),
        expand: crate::label::expand,
    },
    Place {
        name: "#[label] on a variant",
        known: options::LABEL_VARIANT,
        around: ("enum E { #[label(", ")] A }"),
        expand: crate::label::expand,
    },
    Place {
        name: "#[metrics] on a struct",
        known: options::METRICS_STRUCT,
        around: ("#[metrics(", ")] struct S { a: Histogram }"),
        expand: crate::metrics::expand,
    },
    Place {
        name: "#[metric]",
        known: options::METRICS_FIELD,
        around: ("struct S { #[metric(", ")] a: Histogram }"),
        expand: crate::metrics::expand,
    },
    Place {
        name: "#[label] on a struct",
        known: options::LABELS_STRUCT,
        around: ("#[label(", ")] struct S { a: String }"),
        expand: crate::labels::expand,
    },
    Place {
        name: "#[label] on a field",
        known: options::LABELS_FIELD,
        around: ("struct S { #[label(", ")] a: String }"),
        expand: crate::labels::expand,
    },
    Place {
        name: "#[error_type]",
        known: options::ERROR_TYPE,
        around: ("#[error_type(", ")] struct E(Inner);"),
        expand: crate::error_type::expand,
    },
];

/// The errors, as text and place within the options.
fn errors(place: &Place, options: &str) -> Vec<(String, Range<usize>)> {
    let (before, behind) = place.around;
    let tokens = format!("{before}{options}{behind}").parse().expect("tokens");
    let mut diag = Diag::new();
    let _ = (place.expand)(tokens, &mut diag);
    let within = |column: usize| column.saturating_sub(before.chars().count());
    let shown = diag.errors().iter().map(|error| {
        let span = error.span();
        (error.to_string(), within(span.start().column)..within(span.end().column))
    });
    shown.collect()
}

/// One error, inside of `wrong`, that says one of `said`.
#[track_caller]
fn check(place: &Place, options: &str, wrong: Range<usize>, said: &[&str]) {
    let found = errors(place, options);
    let [(message, at)] = &found[..] else {
        panic!("{}: `{options}` has {} errors: {found:?}", place.name, found.len())
    };
    let inside = at.start >= wrong.start && at.end <= wrong.end && !at.is_empty();
    assert!(inside, "{}: `{options}` is refused at {at:?}, not in {wrong:?}", place.name);
    let names = said.iter().any(|said| message.contains(said));
    assert!(names, "{}: `{options}`: {message:?} says none of {said:?}", place.name);
}

/// `name` with its first two different neighbours swapped.
fn misspelt(name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    match letters.windows(2).position(|pair| pair[0] != pair[1]) {
        Some(at) => letters.swap(at, at + 1),
        None => letters.push('x'),
    }
    letters.into_iter().collect()
}

#[test]
fn what_messages_show_is_accepted() {
    for place in PLACES {
        for option in place.known {
            let usage = match (place.name, option.name) {
                ("slo", "success" | "latency") => format!("{}, target = 99.9", option.usage),
                ("slo", _) => continue,
                _ => option.usage.to_owned(),
            };
            assert_eq!(errors(place, &usage), [], "{}: `{usage}`", place.name);
            assert!(option.usage.starts_with(option.name), "{}", option.usage);
        }
    }
}

#[test]
fn a_misspelt_option_is_underlined_and_the_right_one_named() {
    for place in PLACES {
        for option in place.known {
            let word = misspelt(option.name);
            let text = option.usage.replacen(option.name, &word, 1);
            let named = format!("`{}`", option.name);
            check(place, &text, 0..word.len(), &[&format!("did you mean {named}?"), &named]);
        }
    }
}

#[test]
fn of_an_option_written_twice_the_second_is_underlined() {
    for place in PLACES {
        for option in place.known {
            let text = format!("{0}, {0}", option.usage);
            let second = option.usage.len() + 2..text.len();
            check(place, &text, second, &["keep one of them"]);
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_underlined_and_the_option_named() {
    for place in PLACES {
        for option in place.known {
            let named = format!("`{}`", option.name);
            check(place, option.wrong, 0..option.wrong.len(), &[&named]);
        }
    }
}

#[test]
fn of_options_in_conflict_one_is_underlined_and_both_named() {
    for place in PLACES {
        for option in place.known {
            if let Some(needs) = option.needs {
                let off = format!("{} = false", needs.option);
                let text = format!("{}, {off}", option.usage);
                check(place, &text, 0..option.usage.len(), &[&format!("`{off}`")]);
            }
            for other in place.known.iter().filter(|it| option.excludes.contains(&it.name)) {
                let text = format!("{}, {}", other.usage, option.usage);
                let names = format!("`{}` and `{}`", other.name, option.name);
                check(place, &text, other.usage.len() + 2..text.len(), &[&names]);
            }
        }
    }
    let both = "span = false, metrics = false";
    check(&PLACES[0], both, 14..both.len(), &["`span = false` and `metrics = false`"]);
}

#[test]
fn an_option_of_another_place_is_underlined_and_those_of_this_one_named() {
    for place in PLACES {
        let strange = PLACES.iter().flat_map(|other| other.known);
        for option in strange.filter(|it| !place.known.iter().any(|own| own.name == it.name)) {
            let named: Vec<String> =
                place.known.iter().map(|own| format!("`{}`", own.name)).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            check(place, option.usage, 0..option.name.len(), &named);
        }
    }
}

#[test]
fn every_option_of_the_attribute_is_documented() {
    let docs = include_str!("lib.rs");
    for option in options::INSTRUMENTED {
        let (row, list) = (format!("| `{}", option.name), format!("### `{}", option.name));
        assert!(docs.contains(&row) || docs.contains(&list), "`{}` has no row", option.name);
    }
}
