//! What a return type says: futures and streams, and `impl Trait`, which cannot be written twice.

use proc_macro2::{Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, PathSegment, ReturnType, Type, TypeParamBound};

/// A function that is not `async` and returns what is measured until it finishes.
pub(crate) struct Later {
    pub(crate) stream: bool,
    pub(crate) wrap: Wrap,
    /// The type of the future's value, or of the stream's items.
    pub(crate) output: TokenStream,
}

/// What stands around the future or the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// `impl Future`
    Bare,
    /// `Pin<Box<dyn Future>>`
    Pinned,
    /// `Box<dyn Stream>`
    Boxed,
}

pub(crate) fn returns_later(output: &ReturnType, known: Option<&Type>) -> bool {
    later(output, known).is_some()
}

/// `None`: the function is measured until it returns. `known` is the type, where the one that is written is a
/// name of it.
pub(crate) fn later(output: &ReturnType, known: Option<&Type>) -> Option<Later> {
    match (known, output) {
        (Some(ty), _) => of_type(ty),
        (None, ReturnType::Default) => None,
        (None, ReturnType::Type(_, ty)) => of_type(ty),
    }
}

fn of_type(ty: &Type) -> Option<Later> {
    match ty {
        Type::Group(group) => of_type(&group.elem),
        Type::Paren(paren) => of_type(&paren.elem),
        Type::ImplTrait(opaque) => of_bounds(&opaque.bounds, Wrap::Bare),
        Type::Path(path) if path.qself.is_none() => of_path(&path.path),
        _ => None,
    }
}

fn of_path(path: &Path) -> Option<Later> {
    let last = path.segments.last()?;
    let stream = match last.ident.to_string().as_str() {
        "BoxFuture" | "LocalBoxFuture" => false,
        "BoxStream" | "LocalBoxStream" => true,
        "Pin" => {
            let Type::Path(boxed) = argument(last)? else { return None };
            let boxed = boxed.path.segments.last().filter(|last| last.ident == "Box")?;
            return of_object(argument(boxed)?, Wrap::Pinned);
        }
        "Box" => return of_object(argument(last)?, Wrap::Boxed),
        _ => return None,
    };
    let output = argument(last)?.to_token_stream();
    Some(Later { stream, wrap: Wrap::Pinned, output })
}

/// The first type among the arguments.
fn argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn of_object(ty: &Type, wrap: Wrap) -> Option<Later> {
    match ty {
        Type::Paren(paren) => of_object(&paren.elem, wrap),
        Type::Group(group) => of_object(&group.elem, wrap),
        Type::TraitObject(object) => of_bounds(&object.bounds, wrap),
        _ => None,
    }
}

fn of_bounds<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
    wrap: Wrap,
) -> Option<Later> {
    bounds.into_iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last()?;
        let (stream, name) = match last.ident.to_string().as_str() {
            "Future" => (false, "Output"),
            "Stream" => (true, "Item"),
            _ => return None,
        };
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        let output = arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(named) if named.ident == name => Some(&named.ty),
            _ => None,
        })?;
        Some(Later { stream, wrap, output: output.to_token_stream() })
    })
}

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
    use super::{Wrap, later, without_impl};
    use syn::ReturnType;

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

    #[test]
    fn futures_and_streams_are_known_by_their_types() {
        let found = |ty: &str| {
            let ty: ReturnType = syn::parse_str(&format!("-> {ty}")).expect("a type");
            let later = later(&ty, None)?;
            Some((later.stream, later.wrap, later.output.to_string().replace(' ', "")))
        };
        let is = |ty: &str, stream: bool, wrap: Wrap| {
            assert_eq!(found(ty), Some((stream, wrap, "Option<u8>".into())), "{ty}");
        };
        is("impl Future<Output = Option<u8>> + Send + 'a", false, Wrap::Bare);
        is("impl Send + std::future::Future<Output = Option<u8>>", false, Wrap::Bare);
        is("Pin<Box<dyn Future<Output = Option<u8>> + Send + 'async_trait>>", false, Wrap::Pinned);
        is("::core::pin::Pin<Box<(dyn Future<Output = Option<u8>> + 'a)>>", false, Wrap::Pinned);
        is("BoxFuture<'_, Option<u8>>", false, Wrap::Pinned);
        is("Box<dyn Future<Output = Option<u8>> + Unpin>", false, Wrap::Boxed);
        is("impl Stream<Item = Option<u8>>", true, Wrap::Bare);
        is("Pin<Box<dyn futures::Stream<Item = Option<u8>>>>", true, Wrap::Pinned);
        is("BoxStream<'static, Option<u8>>", true, Wrap::Pinned);
        for ty in ["u8", "Box<u8>", "Pin<Box<u8>>", "Pin<&mut u8>", "impl Iterator<Item = u8>"] {
            assert_eq!(found(ty), None, "{ty}");
        }
    }
}
