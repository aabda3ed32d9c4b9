//! `key = value`, `key(list)` and `key`: the shape that all attributes of redspan share.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, Token};

use crate::diag::Diag;

/// An option that an attribute knows, with the form that its messages show.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
}

pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) form: Form,
}

pub(crate) enum Form {
    /// `key`
    Bare,
    /// `key =` with nothing behind it
    Missing,
    /// `key = expr`
    Value(Expr),
    /// `key = …` that is no expression; kept, because an unknown key is the better message
    Broken(syn::Error),
    /// `key(…)`
    List(Group),
}

/// Splits the attribute's tokens into entries. Whatever cannot be an entry is reported and skipped
/// up to the next comma, so that the mistakes behind it are still found.
pub(crate) fn entries(tokens: TokenStream, diag: &mut Diag) -> Vec<Entry> {
    let mut found = Vec::new();
    let parser = |input: ParseStream| {
        while !input.is_empty() {
            match entry(input) {
                Ok(entry) => found.push(entry),
                Err(error) => {
                    diag.push(error);
                    skip_to_comma(input);
                }
            }
            comma_or_end(input, diag);
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(tokens) {
        diag.push(error);
    }
    found
}

fn entry(input: ParseStream) -> syn::Result<Entry> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected an option, such as `name = \"checkout\"`"));
    }
    let key = input.call(Ident::parse_any)?;
    let form = if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        value(input)
    } else if input.is_empty() || input.peek(Token![,]) {
        Form::Bare
    } else {
        match input.parse::<TokenTree>()? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                Form::List(group)
            }
            other => {
                let message = format!("expected `=`, `(` or `,` after `{key}`");
                return Err(syn::Error::new(other.span(), message));
            }
        }
    };
    Ok(Entry { key, form })
}

/// What stands behind the `=` of an entry.
pub(crate) fn value(input: ParseStream) -> Form {
    if input.is_empty() || input.peek(Token![,]) {
        return Form::Missing;
    }
    match expr(input) {
        Ok(expr) => Form::Value(expr),
        Err(error) => Form::Broken(error),
    }
}

/// Reads an expression; on a mistake it skips to the next comma and says where the mistake is.
pub(crate) fn expr(input: ParseStream) -> syn::Result<Expr> {
    let ahead = input.fork();
    match ahead.parse::<Expr>() {
        Ok(expr) => {
            input.advance_to(&ahead);
            Ok(expr)
        }
        Err(error) => {
            let last = skip_to_comma(input);
            // At the end of its input syn underlines the whole attribute; the last token is nearer.
            match last {
                Some(span) if is_whole_attribute(error.span()) => Err(syn::Error::new(span, error)),
                _ => Err(error),
            }
        }
    }
}

/// Spans cannot be compared on stable, but they can be shown.
fn is_whole_attribute(span: Span) -> bool {
    format!("{span:?}") == format!("{:?}", Span::call_site())
}

/// Skips what is left of an entry and returns the span of the last token skipped.
pub(crate) fn skip_to_comma(input: ParseStream) -> Option<Span> {
    let mut last = None;
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => last = Some(token.span()),
            Err(_) => break,
        }
    }
    last
}

pub(crate) fn comma_or_end(input: ParseStream, diag: &mut Diag) {
    if input.is_empty() {
        return;
    }
    if !input.peek(Token![,]) {
        diag.push(input.error("expected `,` in front of this"));
        skip_to_comma(input);
    }
    // Consumes the comma, if the entry did not run to the end of the input.
    let _ = input.parse::<Option<Token![,]>>();
}

/// Keeps the first entry of every known key; unknown and repeated keys are mistakes.
pub(crate) fn judge_keys(entries: Vec<Entry>, known: &[Known], diag: &mut Diag) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::new();
    for entry in entries {
        if !known.iter().any(|option| entry.key == option.name) {
            let names: Vec<&str> = known.iter().map(|option| option.name).collect();
            let hint = hint(&entry.key.to_string(), &names);
            diag.at(entry.key.span(), format!("unknown option `{}`; {hint}", entry.key));
        } else if kept.iter().any(|other| other.key == entry.key) {
            let message = format!("duplicate option `{}`; keep one of them", entry.key);
            diag.at(entry.key.span(), message);
        } else {
            kept.push(entry);
        }
    }
    kept
}

/// The value of `key = …`; every other form is a mistake that shows the accepted one.
pub(crate) fn value_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<Expr> {
    match entry.form {
        Form::Value(expr) => Some(ungroup(expr)),
        Form::Broken(error) => {
            diag.push(error);
            None
        }
        Form::Bare | Form::Missing => {
            let message =
                format!("missing value for `{}`: {}", entry.key, usage(&entry.key, known));
            diag.at(entry.key.span(), message);
            None
        }
        Form::List(_) => {
            let message = format!("`{}` takes a value: {}", entry.key, usage(&entry.key, known));
            diag.at(entry.key.span(), message);
            None
        }
    }
}

/// The content of `key(…)`; every other form is a mistake that shows the accepted one.
pub(crate) fn list_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<TokenStream> {
    if let Form::List(group) = entry.form {
        return Some(group.stream());
    }
    let message =
        format!("`{}` takes a list in parentheses: {}", entry.key, usage(&entry.key, known));
    diag.at(entry.key.span(), message);
    None
}

pub(crate) fn usage(key: &Ident, known: &[Known]) -> String {
    usage_of(&key.to_string(), known)
}

pub(crate) fn usage_of(key: &str, known: &[Known]) -> String {
    let usage = known.iter().find(|option| key == option.name).map_or("", |option| option.usage);
    format!("`{usage}`")
}

/// Removes the invisible groups that `macro_rules` puts around a `$value:expr` or `:literal`.
pub(crate) fn ungroup(mut expr: Expr) -> Expr {
    loop {
        match expr {
            Expr::Group(group) => expr = *group.expr,
            other => return other,
        }
    }
}

pub(crate) fn string_literal(expr: &Expr) -> Option<&syn::LitStr> {
    match expr {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

/// "did you mean `name`?" if something is near enough, else the whole list.
pub(crate) fn hint(word: &str, known: &[&str]) -> String {
    let word = word.to_lowercase();
    let near = known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min();
    if let Some((_, candidate)) = near {
        return format!("did you mean `{candidate}`?");
    }
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match list.split_last() {
        Some((last, [])) => format!("expected {last}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Edits between two words, where swapping two neighbours counts as one.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, a) in left.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&above, column) + usize::from(a != *b))
                .min(cell(&above, column + 1) + 1)
                .min(cell(&current, column) + 1);
            let swapped = column > 0 && previous == Some(*b) && right.get(column - 1) == Some(&a);
            if swapped {
                best = best.min(cell(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
        previous = Some(a);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, hint};

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(distance("nmae", "name"), 1);
        assert_eq!(distance("", "name"), 4);
        assert_eq!(distance("field", "fields"), 1);
    }

    #[test]
    fn a_far_word_gets_the_list() {
        assert_eq!(hint("nmae", &["name", "kind"]), "did you mean `name`?");
        assert_eq!(hint("colour", &["name", "kind"]), "expected `name` or `kind`");
    }
}
