//! Every option of every macro, with every mistake that a table can tell: one error each, inside the
//! token that is wrong, naming what is accepted. Written from the table ([`options`](crate::options)).

#[cfg(feature = "answers")]
mod expansions;

use std::ops::Range;

use proc_macro2::{TokenStream, TokenTree};

use crate::diag::Diag;
use crate::options::{self, Known};

/// Where options are written.
struct Place {
    name: &'static str,
    known: &'static [Known],
    /// Options that macro has in other places.
    elsewhere: &'static [&'static str],
    /// Up to the options, and behind them.
    around: (&'static str, &'static str),
    expand: fn(TokenStream, &mut Diag) -> Option<TokenStream>,
}

impl Place {
    const fn new(
        name: &'static str,
        known: &'static [Known],
        around: (&'static str, &'static str),
        expand: fn(TokenStream, &mut Diag) -> Option<TokenStream>,
    ) -> Self {
        Place { name, known, elsewhere: &[], around, expand }
    }

    const fn elsewhere(self, elsewhere: &'static [&'static str]) -> Self {
        Place { elsewhere, ..self }
    }

    /// The options that are accepted here.
    fn known(&self) -> impl Iterator<Item = &'static Known> {
        self.known.iter().filter(|option| !self.elsewhere.contains(&option.name))
    }
}

const FUNCTION: &str = "async fn f(order: Order, message: Message) -> Option<u8> { None }";

fn instrumented(args: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    crate::instrumented::expand(args, &mut FUNCTION.parse().expect("tokens"), diag)
}

fn instrumented_impl(args: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    let mut block = format!("impl Payments {{ {FUNCTION} }}").parse().expect("tokens");
    crate::instrumented::expand(args, &mut block, diag)
}

/// The options are those of a method in the block.
fn instrumented_block(mut block: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    crate::instrumented::expand(TokenStream::new(), &mut block, diag)
}

/// What it does not know is a warning, as it is for tracing: a `deprecated` that is used.
fn compat(args: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    let expanded = crate::compat::expand(args, &mut FUNCTION.parse().expect("tokens"), diag)?;
    warnings(expanded.clone(), diag);
    Some(expanded)
}

fn warnings(tokens: TokenStream, diag: &mut Diag) {
    let mut before = None;
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            match before {
                Some(TokenTree::Ident(word)) if word == "deprecated" => {
                    diag.at(word.span(), group.to_string());
                }
                _ => warnings(group.stream(), diag),
            }
        }
        before = Some(token);
    }
}

fn measured(input: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    crate::measured::expand(input, diag).measured
}

const PLACES: &[Place] = &[
    Place::new("#[instrumented]", options::INSTRUMENTED, ("", ""), instrumented),
    Place::new("slo", options::SLO, ("slo(", ")"), instrumented),
    Place::new("#[instrumented] on an impl", options::INSTRUMENTED, ("", ""), instrumented_impl)
        .elsewhere(&["name"]),
    Place::new(
        "#[instrumented] on a method of a block",
        options::INSTRUMENTED,
        (
            "impl P { #[instrumented(",
            ")] async fn f(order: O, message: M) -> Option<u8> { None } }",
        ),
        instrumented_block,
    ),
    Place::new(
        "#[instrumented] beside the derive",
        options::SERVICE,
        ("#[instrumented(", ")] struct S { a: u8 }"),
        crate::derive_instrumented::expand,
    ),
    Place::new(
        "#[instrumented] on a field",
        options::SERVICE_FIELD,
        ("struct S { #[instrumented(", ")] a: u8 }"),
        crate::derive_instrumented::expand,
    ),
    Place::new(
        "#[label] on an enum",
        options::LABEL_ENUM,
        ("#[label(", ")] enum E { A }"),
        crate::label::expand,
    ),
    Place::new(
        "#[label] on a variant",
        options::LABEL_VARIANT,
        ("enum E { #[label(", ")] A }"),
        crate::label::expand,
    ),
    Place::new(
        "#[metrics] on a struct",
        options::METRICS_STRUCT,
        ("#[metrics(", ")] struct S { a: Histogram }"),
        crate::metrics::expand,
    ),
    Place::new(
        "#[metric]",
        options::METRICS_FIELD,
        ("struct S { #[metric(", ")] a: Histogram }"),
        crate::metrics::expand,
    ),
    Place::new(
        "#[label] on a struct",
        options::LABELS_STRUCT,
        ("#[label(", ")] struct S { a: String }"),
        crate::labels::expand,
    ),
    Place::new(
        "#[label] on a field",
        options::LABELS_FIELD,
        ("struct S { #[label(", ")] a: String }"),
        crate::labels::expand,
    ),
    Place::new(
        "#[error_type] on a struct",
        options::ERROR_TYPE,
        ("#[error_type(", ")] struct E(Inner);"),
        crate::error_type::expand,
    ),
    Place::new(
        "#[error_type] on an enum",
        options::ERROR_TYPE,
        ("#[error_type(", ")] enum E { A(Inner) }"),
        crate::error_type::expand,
    )
    .elsewhere(&["transparent"]),
    Place::new(
        "#[error_type] on a variant",
        options::ERROR_TYPE,
        ("enum E { #[error_type(", ")] A(Inner) }"),
        crate::error_type::expand,
    )
    .elsewhere(&["crate"]),
    Place::new(
        "measured!",
        options::INSTRUMENTED,
        ("\"fill\", ", ", async { None::<u8> }"),
        measured,
    )
    .elsewhere(&["name"]),
    Place::new("#[compat::instrument]", options::COMPAT, ("", ""), compat),
    Place::new("err", options::COMPAT_EVENT, ("err(", ")"), compat),
    Place::new("ret", options::COMPAT_EVENT, ("ret(", ")"), compat),
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

/// `name` with its first two different neighbours swapped; a short one, which that could make another
/// option's neighbour, with its last letter twice.
fn misspelt(name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    match letters.windows(2).position(|pair| pair[0] != pair[1]) {
        Some(at) if letters.len() > 3 => letters.swap(at, at + 1),
        _ => letters.extend(letters.last().copied()),
    }
    letters.into_iter().collect()
}

#[test]
fn what_messages_show_is_accepted() {
    for place in PLACES {
        for option in place.known() {
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
        for option in place.known() {
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
        for option in place.known() {
            let text = format!("{0}, {0}", option.usage);
            let second = option.usage.len() + 2..text.len();
            // Of several `err` or `ret` the last counts, for tracing.
            if option.several && place.name == "#[compat::instrument]" {
                assert_eq!(errors(place, &text), [], "{text}");
            } else {
                check(place, &text, second, &["keep one of them"]);
            }
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_underlined_and_the_option_named() {
    for place in PLACES {
        for option in place.known() {
            let named = format!("`{}`", option.name);
            check(place, option.wrong, 0..option.wrong.len(), &[&named]);
        }
    }
}

#[test]
fn of_options_in_conflict_one_is_underlined_and_both_named() {
    for place in PLACES {
        for option in place.known() {
            if let Some(needs) = option.needs {
                let off = format!("{} = false", needs.option);
                let text = format!("{}, {off}", option.usage);
                check(place, &text, 0..option.usage.len(), &[&format!("`{off}`")]);
            }
            for other in place.known().filter(|it| option.excludes.contains(&it.name)) {
                let text = format!("{}, {}", other.usage, option.usage);
                let names = [
                    format!("`{}` and `{}`", other.name, option.name),
                    format!("`{}` and `{}`", option.name, other.name),
                ];
                let wrong = other.usage.len() + 2..text.len();
                check(place, &text, wrong, &names.each_ref().map(String::as_str));
            }
        }
    }
    let both = "span = false, metrics = false";
    check(&PLACES[0], both, 14..both.len(), &["`span = false` and `metrics = false`"]);
}

#[test]
fn an_option_of_another_place_is_underlined_and_the_right_place_or_option_named() {
    for place in PLACES {
        let strange = PLACES.iter().flat_map(|other| other.known);
        for option in strange.filter(|it| !place.known().any(|own| own.name == it.name)) {
            let named: Vec<String> = place.known().map(|own| format!("`{}`", own.name)).collect();
            let mut said: Vec<&str> = named.iter().map(String::as_str).collect();
            let places =
                ["goes on", "give each its own", "the name comes first", "the name stands alone"];
            said.extend(places);
            check(place, option.usage, 0..option.name.len(), &said);
        }
    }
}

#[test]
fn below_async_trait_the_crate_is_named_by_its_option_whatever_stands_before() {
    let mut block = "#[async_trait] impl Gateway for Payments {}".parse().expect("tokens");
    let args = "error_if = crate::failed, crate = framework::redspan".parse().expect("tokens");
    let expanded = crate::instrumented::expand(args, &mut block, &mut Diag::new());
    let expanded = expanded.expect("an expansion").to_string().replace(' ', "");
    assert!(
        expanded.starts_with("#[async_trait]#[framework::redspan::instrumented("),
        "{expanded}"
    );
}

#[test]
fn an_attribute_of_a_parameter_that_is_another_macros_stays_in_the_signature_alone() {
    for word in ["", "async"] {
        let function = format!("{word} fn f(#[case] #[allow(unused)] id: u8) {{}}");
        let mut function = function.parse().expect("tokens");
        let expanded =
            crate::instrumented::expand(TokenStream::new(), &mut function, &mut Diag::new());
        let expanded = expanded.expect("an expansion").to_string();
        assert_eq!(expanded.matches("case").count(), 1, "{expanded}");
        assert_eq!(expanded.matches("unused").count(), 2, "{expanded}");
    }
}

#[test]
fn every_option_of_the_attribute_is_documented() {
    let docs = include_str!("../lib.rs");
    for option in options::INSTRUMENTED {
        let (row, list) = (format!("| `{}", option.name), format!("### `{}", option.name));
        assert!(docs.contains(&row) || docs.contains(&list), "`{}` has no row", option.name);
    }
    // `#[label(rename = "name")]`, `(server)`
    let tables = [
        options::SLO,
        options::SERVICE,
        options::SERVICE_FIELD,
        options::LABEL_ENUM,
        options::LABEL_VARIANT,
    ];
    let metrics = [
        options::LABELS_STRUCT,
        options::LABELS_FIELD,
        options::METRICS_STRUCT,
        options::METRICS_FIELD,
    ];
    for option in tables.into_iter().chain(metrics).chain([options::ERROR_TYPE]).flatten() {
        let written = [format!("({}", option.name), format!(", {} =", option.name)];
        assert!(written.iter().any(|it| docs.contains(it)), "`{}` is not shown", option.name);
    }
}
