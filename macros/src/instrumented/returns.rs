//! Return types that cannot be written twice: `impl Trait`.

use proc_macro2::{Group, Ident, Punct, Spacing, TokenStream, TokenTree};

/// Replaces every `impl Trait` by `_`, which is what a closure's return type may say instead.
pub(crate) fn without_impl(ty: TokenStream) -> TokenStream {
    let mut output = TokenStream::new();
    let mut tokens = ty.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "impl" => {
                output.extend([TokenTree::from(Ident::new("_", ident.span()))]);
                skip_bounds(&mut tokens);
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_impl(group.stream()));
                inner.set_span(group.span());
                output.extend([TokenTree::from(inner)]);
            }
            other => output.extend([other]),
        }
    }
    output
}

/// Skips the bounds of an `impl Trait`: up to what ends a type argument, at the same depth of `<>`.
fn skip_bounds(tokens: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) {
    let mut depth = 0_usize;
    let mut arrow = false;
    while let Some(token) = tokens.peek() {
        if let TokenTree::Punct(punct) = token {
            match punct.as_char() {
                ',' | ';' | '=' if depth == 0 => return,
                '<' => depth += 1,
                '>' if arrow => {}
                '>' if depth == 0 => return,
                '>' => depth -= 1,
                _ => {}
            }
            arrow = begins_arrow(punct);
        } else {
            arrow = false;
        }
        tokens.next();
    }
}

/// The `>` of `->` closes nothing.
fn begins_arrow(punct: &Punct) -> bool {
    punct.as_char() == '-' && punct.spacing() == Spacing::Joint
}

#[cfg(test)]
mod tests {
    use super::without_impl;

    fn check(ty: &str, expected: &str) {
        let tokens = ty.parse().expect("tokens");
        assert_eq!(without_impl(tokens).to_string().replace(' ', ""), expected);
    }

    #[test]
    fn every_impl_becomes_a_wildcard() {
        check("impl Fn(&str) -> usize + 'static", "_");
        check("Result<impl Iterator<Item = u8> + '_, E>", "Result<_,E>");
        check("(impl Fn() -> Vec<u8>, Box<dyn Fn() -> u8>)", "(_,Box<dynFn()->u8>)");
        check("[impl Copy; 3]", "[_;3]");
        check("Option<u8>", "Option<u8>");
    }
}
