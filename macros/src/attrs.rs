//! `key = value`, `key(list)` and `key`: the shape that all attributes of redspan share.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{DeriveInput, Expr, Ident, Lit, Token, token};

use crate::diag::Diag;
use crate::options::Known;

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

/// What a derive stands on.
pub(crate) fn derive_input(tokens: TokenStream, diag: &mut Diag) -> Option<DeriveInput> {
    syn::parse2(tokens).map_err(|error| diag.push(error)).ok()
}

/// Splits the attribute's tokens into entries. `such` is how an option may look there.
pub(crate) fn entries(tokens: TokenStream, such: &str, diag: &mut Diag) -> Vec<Entry> {
    list(tokens, |input| entry(input, such), diag)
}

/// Reads a list with commas between. Whatever cannot be read is reported and skipped up to the next
/// comma, so that the mistakes behind it are still found.
pub(crate) fn list<T>(
    tokens: TokenStream,
    read: impl Fn(ParseStream) -> syn::Result<T>,
    diag: &mut Diag,
) -> Vec<T> {
    let mut found = Vec::new();
    let parser = |input: ParseStream| {
        while !input.is_empty() {
            match read(input) {
                Ok(item) => found.push(item),
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

fn entry(input: ParseStream, such: &str) -> syn::Result<Entry> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error(format!("expected an option, such as `{such}`")));
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
        Ok(expr) => Form::Value(ungroup(expr)),
        Err(error) => Form::Broken(error),
    }
}

/// A block, an `async` block, a closure.
pub(crate) fn begins_expression(input: ParseStream) -> bool {
    let ahead = input.fork();
    let skipped = |word: bool| word && ahead.parse::<TokenTree>().is_ok();
    while skipped(
        ahead.peek(Token![async]) || ahead.peek(Token![move]) || ahead.peek(Token![unsafe]),
    ) {}
    ahead.peek(token::Brace) || ahead.peek(Token![|]) || ahead.peek(Token![||])
}

/// Whether it stands where an expression does.
pub(crate) fn is_expression(item: &TokenStream) -> bool {
    let parser = |input: ParseStream| {
        let found = begins_expression(input);
        input.parse::<TokenStream>()?;
        Ok(found)
    };
    parser.parse2(item.clone()).unwrap_or(false)
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

/// Keeps the first entry of every known key; what is unknown, repeated or in conflict is a mistake.
pub(crate) fn judge_keys(entries: Vec<Entry>, known: &[Known], diag: &mut Diag) -> Vec<Entry> {
    let names: Vec<&str> = known.iter().map(|option| option.name).collect();
    judge_keys_with(entries, known, |key| hint(key, &names), diag)
}

/// The same, with a word of its own on what is unknown.
pub(crate) fn judge_keys_with(
    entries: Vec<Entry>,
    known: &[Known],
    hint: impl Fn(&str) -> String,
    diag: &mut Diag,
) -> Vec<Entry> {
    let off: Vec<String> = entries.iter().filter(|entry| entry.is_false()).map(name_of).collect();
    let mut kept: Vec<Entry> = Vec::new();
    for entry in entries {
        let at = entry.key.span();
        let Some(option) = known.iter().find(|option| entry.key == option.name) else {
            let hint = hint(&entry.key.to_string());
            diag.at(at, format!("unknown option `{}`; {hint}", entry.key));
            continue;
        };
        let name = option.name;
        let excluded = kept.iter().find(|other| option.excludes.iter().any(|no| other.key == no));
        if !option.several && kept.iter().any(|other| other.key == name) {
            diag.at(at, format!("duplicate option `{name}`; keep one of them"));
        } else if let Some(other) = excluded {
            let other = &other.key;
            diag.at(at, format!("`{other}` and `{name}` exclude each other; keep one of them"));
        } else if let Some(needs) =
            option.needs.filter(|needs| off.iter().any(|key| key == needs.option))
        {
            let (other, because) = (needs.option, needs.because);
            let message = format!(
                "`{name}` {because}, and `{other} = false` leaves none; remove one of them"
            );
            diag.at(at, message);
        } else {
            kept.push(entry);
        }
    }
    kept
}

fn name_of(entry: &Entry) -> String {
    entry.key.to_string()
}

impl Entry {
    /// `key = false`
    pub(crate) fn is_false(&self) -> bool {
        matches!(&self.form, Form::Value(Expr::Lit(literal))
            if matches!(&literal.lit, Lit::Bool(value) if !value.value))
    }
}

/// `key`, `key = true` or `key = false`; every other form is a mistake that shows the accepted one.
pub(crate) fn flag_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<bool> {
    let key = entry.key;
    let at = match entry.form {
        Form::Bare => return Some(true),
        Form::Value(expr) => match expr {
            Expr::Lit(syn::ExprLit { lit: Lit::Bool(value), .. }) => return Some(value.value),
            other => other.span(),
        },
        Form::Broken(error) => {
            diag.push(error);
            return None;
        }
        Form::Missing | Form::List(_) => key.span(),
    };
    let usage = usage(&key, known);
    // Off by default, or on?
    let takes = if usage.contains("false") { "takes `false`" } else { "takes no value" };
    diag.at(at, format!("`{key}` {takes}: {usage}"));
    None
}

/// The value of `key = …`; every other form is a mistake that shows the accepted one.
pub(crate) fn value_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<Expr> {
    match entry.form {
        Form::Value(expr) => Some(expr),
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
pub(crate) fn list_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<Group> {
    if let Form::List(group) = entry.form {
        return Some(group);
    }
    let message =
        format!("`{}` takes a list in parentheses: {}", entry.key, usage(&entry.key, known));
    diag.at(entry.key.span(), message);
    None
}

/// The text of `key = "text"`; every other form is a mistake that shows the accepted one.
pub(crate) fn text_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<syn::LitStr> {
    let key = entry.key.clone();
    match value_of(entry, known, diag)? {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        other => {
            let usage = usage(&key, known);
            diag.at(other.span(), format!("`{key}` takes a string literal: {usage}"));
            None
        }
    }
}

/// The path of `key = path`; every other form is a mistake that shows the accepted one.
pub(crate) fn path_of(entry: Entry, known: &[Known], diag: &mut Diag) -> Option<syn::Path> {
    let key = entry.key.clone();
    match value_of(entry, known, diag)? {
        Expr::Path(path) if path.qself.is_none() => Some(path.path),
        other => {
            let usage = usage(&key, known);
            diag.at(other.span(), format!("`{key}` takes a path: {usage}"));
            None
        }
    }
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

/// The braces that a token is. A `$body:block` of `macro_rules` arrives in an invisible group.
pub(crate) fn brace(token: &TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group.clone()),
        Delimiter::None => {
            let mut tokens = group.stream().into_iter();
            let first = tokens.next()?;
            if tokens.next().is_some() { None } else { brace(&first) }
        }
        _ => None,
    }
}

/// Whether one of these names stands among the tokens.
pub(crate) fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

pub(crate) fn string_literal(expr: &Expr) -> Option<&syn::LitStr> {
    match expr {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

/// The word that a value is, with its place: `"debug"`, or a path such as `Level::DEBUG`, of which the last
/// segment counts.
pub(crate) fn word(value: &Expr) -> Option<(String, Span)> {
    match value {
        Expr::Path(path) => {
            let last = path.path.segments.last()?;
            Some((last.ident.to_string(), last.ident.span()))
        }
        other => string_literal(other).map(|text| (text.value(), text.span())),
    }
}

/// How loud something can be, from the least.
pub(crate) const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// The one of these words that `key = …` says; every other one is a mistake that shows them.
pub(crate) fn word_of(
    entry: Entry,
    words: &'static [&'static str],
    known: &[Known],
    diag: &mut Diag,
) -> Option<&'static str> {
    let key = entry.key.clone();
    let value = value_of(entry, known, diag)?;
    let Some((text, at)) = word(&value) else {
        let usage = usage(&key, known);
        diag.at(value.span(), format!("`{key}` takes a string literal: {usage}"));
        return None;
    };
    let found = words.iter().copied().find(|word| word.eq_ignore_ascii_case(&text));
    if found.is_none() {
        diag.at(at, format!("unknown {key} `{text}`; {}", hint(&text, words)));
    }
    found
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
