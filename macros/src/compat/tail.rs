//! Functions that are not `async` and end in a future: as tracing does, the future is measured, and
//! not how long it took to make it.
//!
//! `async move { … }` and `Box::pin(async move { … })` at the end of the body are such; this is also
//! what `#[async_trait]` writes.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ReturnType;

use crate::instrumented::model::Output;
use crate::instrumented::returns;

pub(crate) struct Tail {
    /// What stands before the `async` block.
    pub(crate) before: Vec<TokenTree>,
    pub(crate) block: Group,
    /// `async`, `async move`
    pub(crate) words: TokenStream,
    /// The parentheses of `Box::pin(…)`, to be filled again.
    pub(crate) pin: Option<Group>,
}

pub(crate) fn find(body: &Group) -> Option<Tail> {
    let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    while matches!(tokens.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == ';') {
        tokens.pop();
    }
    let Some(TokenTree::Group(last)) = tokens.pop() else { return None };
    match last.delimiter() {
        Delimiter::Brace => {
            let words = take_async(&mut tokens)?;
            begins_statement(&tokens).then_some(Tail {
                before: tokens,
                block: last,
                words,
                pin: None,
            })
        }
        Delimiter::Parenthesis => {
            let mut inside: Vec<TokenTree> = last.stream().into_iter().collect();
            if matches!(inside.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == ',') {
                inside.pop();
            }
            let Some(TokenTree::Group(block)) = inside.pop() else { return None };
            if block.delimiter() != Delimiter::Brace {
                return None;
            }
            let words = take_async(&mut inside)?;
            if !inside.is_empty() || !is_box_pin(&tokens) {
                return None;
            }
            Some(Tail { before: tokens, block, words, pin: Some(last) })
        }
        _ => None,
    }
}

/// Takes `async` or `async move` off the end.
fn take_async(tokens: &mut Vec<TokenTree>) -> Option<TokenStream> {
    let is = |token: Option<&TokenTree>, word: &str| matches!(token, Some(TokenTree::Ident(ident)) if ident == word);
    let moved = if is(tokens.last(), "move") { tokens.pop() } else { None };
    let word = if is(tokens.last(), "async") { tokens.pop() } else { None };
    Some([Some(word?), moved].into_iter().flatten().collect())
}

/// Whether a new statement begins behind these tokens.
fn begins_statement(tokens: &[TokenTree]) -> bool {
    match tokens.last() {
        None => true,
        Some(TokenTree::Punct(punct)) => punct.as_char() == ';',
        Some(TokenTree::Group(group)) => match group.delimiter() {
            Delimiter::Brace => true,
            // An attribute.
            Delimiter::Bracket => {
                let hash = tokens.len().checked_sub(2).and_then(|at| tokens.get(at));
                matches!(hash, Some(TokenTree::Punct(punct)) if punct.as_char() == '#')
            }
            _ => false,
        },
        Some(_) => false,
    }
}

/// Whether the tokens end in a path to `Box::pin` that is a statement of its own.
fn is_box_pin(tokens: &[TokenTree]) -> bool {
    let mut at = tokens.len();
    let mut segments = Vec::new();
    let colons = |at: usize| {
        let colon =
            |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
        at >= 2 && tokens[at - 2..at].iter().all(colon)
    };
    while let Some(TokenTree::Ident(segment)) = at.checked_sub(1).map(|last| &tokens[last]) {
        segments.push(segment.to_string());
        at -= 1;
        if !colons(at) {
            break;
        }
        at -= 2;
    }
    let boxed = matches!(&segments[..], [pin, boxed, ..] if pin == "pin" && boxed == "Box");
    boxed && begins_statement(&tokens[..at])
}

/// What the future returns, where the signature shows it.
pub(crate) fn output(returned: &ReturnType) -> Option<Output> {
    let ReturnType::Type(_, ty) = returned else { return None };
    let output = future_output(ty.to_token_stream())?;
    Some(match output.to_string().as_str() {
        "!" => Output::Never,
        _ => Output::Type(returns::without_impl(output)),
    })
}

/// The `T` of `Pin<Box<dyn Future<Output = T> + Send>>`, `impl Future<Output = T>`, `BoxFuture<'_, T>`.
fn future_output(ty: TokenStream) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = ty.into_iter().collect();
    let is = |at: usize, word: &str| matches!(tokens.get(at), Some(TokenTree::Ident(ident)) if ident == word);
    let punct = |at: usize, ch: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ch);
    for at in 0..tokens.len() {
        if is(at, "Output") && punct(at + 1, '=') {
            return Some(argument(&tokens[at + 2..]));
        }
        let boxed = is(at, "BoxFuture") || is(at, "LocalBoxFuture");
        if boxed && punct(at + 1, '<') {
            let lifetime = usize::from(punct(at + 2, '\''));
            let comma = usize::from(lifetime == 1 && punct(at + 4, ','));
            return Some(argument(&tokens[at + 2 + 2 * lifetime + comma..]));
        }
    }
    // The parentheses of `(dyn Future<Output = T> + Send)`.
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => future_output(group.stream()),
        _ => None,
    })
}

/// The tokens up to the end of a type argument.
fn argument(tokens: &[TokenTree]) -> TokenStream {
    let mut depth = 0_usize;
    let mut arrow = false;
    let ends = |token: &TokenTree| {
        let TokenTree::Punct(punct) = token else {
            arrow = false;
            return false;
        };
        match punct.as_char() {
            '<' => depth += 1,
            '>' if arrow => {}
            '>' if depth == 0 => return true,
            '>' => depth -= 1,
            ',' if depth == 0 => return true,
            _ => {}
        }
        arrow = punct.as_char() == '-';
        false
    };
    let end = tokens.iter().position(ends).unwrap_or(tokens.len());
    tokens[..end].iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{find, future_output};
    use proc_macro2::{Delimiter, Group, TokenStream};

    fn ends_in_future(body: &str) -> bool {
        let tokens: TokenStream = body.parse().expect("tokens");
        find(&Group::new(Delimiter::Brace, tokens)).is_some()
    }

    #[test]
    fn a_future_at_the_end_is_found_and_nothing_else_is() {
        for body in [
            "async move { 1 }",
            "let x = 1; async { x }",
            "if x { y() } Box::pin(async move { 1 })",
            "::std::boxed::Box::pin(async { 1 },)",
            "let x = x; #[allow(unused)] async move { 1 }",
            "Box::pin(async move { 1 });",
        ] {
            assert!(ends_in_future(body), "{body}");
        }
        for body in [
            "",
            "let x = async move { 1 };",
            "|x| async move { 1 }",
            "&async {}",
            "return Box::pin(async {})",
            "wrap(Box::pin(async {}))",
            "MyBox::pin(async {})",
            "Box::pin(f(async {}))",
            "Box::pin(async { 1 }.map(f))",
            "Box::new(async {})",
            "x.await",
        ] {
            assert!(!ends_in_future(body), "{body}");
        }
    }

    #[test]
    fn the_output_is_read_off_the_signature() {
        let check = |ty: &str, expected: Option<&str>| {
            let found = future_output(ty.parse().expect("tokens"));
            let found = found.map(|tokens| tokens.to_string().replace(' ', ""));
            assert_eq!(found.as_deref(), expected, "{ty}");
        };
        check("impl Future<Output = Result<u8, E>> + Send", Some("Result<u8,E>"));
        check("Pin<Box<dyn Future<Output = Vec<u8>> + Send + 'a>>", Some("Vec<u8>"));
        check("Pin<Box<(dyn Future<Output = u8> + 'a)>>", Some("u8"));
        check("BoxFuture<'_, Result<u8, E>>", Some("Result<u8,E>"));
        check("BoxFuture<'static, fn() -> u8>", Some("fn()->u8"));
        check("Mine<u8>", None);
    }
}
