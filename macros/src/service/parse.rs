//! Takes a block apart into its items, and leaves the items as they are.
//!
//! What ends an item can be seen without reading it: the first braces or the first semicolon outside of
//! angle brackets, depending on the word it begins with. As in a function, no body is parsed.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Meta};

use crate::attrs::brace;
use crate::diag::Diag;

/// An `impl`, a `trait` or a `mod`.
pub(crate) struct Block {
    pub(crate) attrs: Vec<Attribute>,
    /// Everything between the attributes and the braces.
    pub(crate) head: TokenStream,
    pub(crate) kind: Word,
    pub(crate) body: Group,
    /// `#![…]` at the start of the braces.
    pub(crate) inner_attrs: TokenStream,
    pub(crate) items: Vec<Item>,
}

pub(crate) struct Item {
    /// What our own attributes on it say.
    pub(crate) ours: Vec<Ours>,
    /// The others.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// Without its attributes.
    Function(TokenStream),
    Block(Box<Block>),
    Other(TokenStream),
}

/// `#[instrumented(…)]` on an item inside.
pub(crate) struct Ours {
    pub(crate) span: Span,
    pub(crate) args: TokenStream,
}

/// The word that says what an item is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    Fn,
    Impl,
    Trait,
    Mod,
    /// Ends with its braces, or with a semicolon: `struct`, `enum`, `extern`, a macro.
    Braces,
    /// Ends with a semicolon, whatever braces come before: `const`, `use`, `type`.
    Semicolon,
}

/// The place of the word that says so.
pub(crate) fn block_word(item: &[TokenTree]) -> Option<Span> {
    match word(&item[outer_attributes(item)..]) {
        Some((Word::Impl | Word::Trait | Word::Mod, at)) => Some(at),
        _ => None,
    }
}

pub(crate) fn block(item: TokenStream, diag: &mut Diag) -> Option<Block> {
    let (attrs, rest) = attributes(item);
    let rest: Vec<TokenTree> = rest.into_iter().collect();
    let (kind, word) = word(&rest)?;
    let attrs = attrs.into_iter().filter_map(|attr| attribute(attr, diag)).collect();
    let Some(block) = braces(kind, attrs, &rest, diag) else {
        let message = "a module in another file cannot be instrumented as a whole: put the attribute \
                       on the functions and blocks there, or write the module inline";
        diag.at(word, message);
        return None;
    };
    Some(block)
}

/// `None`: there are no braces.
fn braces(kind: Word, attrs: Vec<Attribute>, rest: &[TokenTree], diag: &mut Diag) -> Option<Block> {
    let (last, head) = rest.split_last()?;
    let body = brace(last)?;
    let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let inner: Vec<TokenTree> = tokens.drain(..inner_attributes(&tokens)).collect();
    Some(Block {
        attrs,
        head: head.iter().cloned().collect(),
        kind,
        body,
        inner_attrs: inner.into_iter().collect(),
        items: items(tokens, diag),
    })
}

/// How many tokens at the start are `#![…]`.
fn inner_attributes(tokens: &[TokenTree]) -> usize {
    let attribute = |three: &[TokenTree]| match three {
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(_)] => {
            hash.as_char() == '#' && bang.as_char() == '!'
        }
        _ => false,
    };
    tokens.chunks(3).take_while(|three| attribute(three)).count() * 3
}

fn items(tokens: Vec<TokenTree>, diag: &mut Diag) -> Vec<Item> {
    let mut found = Vec::new();
    let mut rest = &tokens[..];
    while !rest.is_empty() {
        // A whole item that came through a `macro_rules`, as `$item:item`.
        if let [TokenTree::Group(group), others @ ..] = rest
            && group.delimiter() == Delimiter::None
            && word(&group.stream().into_iter().collect::<Vec<_>>()).is_some()
        {
            found.extend(items(group.stream().into_iter().collect(), diag));
            rest = others;
            continue;
        }
        let header = outer_attributes(rest);
        let (attrs, others) = rest.split_at(header);
        let found_word = word(others);
        let end = end(found_word.map(|(word, _)| word), others);
        let (item, others) = others.split_at(end);
        rest = others;
        found.push(one(attrs, found_word, item, diag));
    }
    found
}

fn one(
    attrs: &[TokenTree],
    word: Option<(Word, Span)>,
    tokens: &[TokenTree],
    diag: &mut Diag,
) -> Item {
    let mut ours = Vec::new();
    let (read, _) = attributes(attrs.iter().cloned().collect());
    let mut attrs: Vec<Attribute> = Vec::new();
    for attr in read {
        if is_ours(&attr) {
            let args = match &attr.meta {
                Meta::List(list) => list.tokens.clone(),
                // `#[instrumented = 3]` is refused with what it accepts.
                Meta::NameValue(pair) => pair.value.to_token_stream(),
                Meta::Path(_) => TokenStream::new(),
            };
            ours.push(Ours { span: attr.path().span(), args });
        } else {
            attrs.extend(attribute(attr, diag));
        }
    }
    let all = || tokens.iter().cloned().collect::<TokenStream>();
    let content = match word {
        Some((Word::Fn, _)) => Content::Function(all()),
        Some((kind @ (Word::Impl | Word::Trait | Word::Mod), _)) => {
            match braces(kind, Vec::new(), tokens, diag) {
                Some(block) => Content::Block(Box::new(block)),
                None => Content::Other(all()),
            }
        }
        _ => Content::Other(all()),
    };
    Item { ours, attrs, content }
}

/// One of ours under a condition could not be taken out: it would run after the block's.
fn attribute(attr: Attribute, diag: &mut Diag) -> Option<Attribute> {
    if attr.path().is_ident("cfg_attr")
        && let Meta::List(list) = &attr.meta
        && let Some(at) = named(&list.tokens)
    {
        let message = "the attribute of the block around cannot see what a `cfg_attr` says; write \
                       `#[instrumented(…)]` without a condition";
        diag.at(at, message);
        return None;
    }
    Some(attr)
}

fn named(tokens: &TokenStream) -> Option<Span> {
    tokens.clone().into_iter().find_map(|token| match token {
        TokenTree::Ident(word) if word == "instrumented" => Some(word.span()),
        _ => None,
    })
}

/// By its last word: a re-exported crate has other words in front.
pub(crate) fn is_ours(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "instrumented")
}

/// Splits the outer attributes off.
fn attributes(tokens: TokenStream) -> (Vec<Attribute>, TokenStream) {
    let parser = |input: ParseStream| {
        let attrs = input.call(Attribute::parse_outer)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    let whole = tokens.clone();
    parser.parse2(tokens).unwrap_or((Vec::new(), whole))
}

/// How many tokens at the start are `#[…]`.
fn outer_attributes(tokens: &[TokenTree]) -> usize {
    let attribute = |two: &[TokenTree]| match two {
        [TokenTree::Punct(hash), TokenTree::Group(_)] => hash.as_char() == '#',
        // `$(#[$attribute:meta])*` keeps its shape, `$attribute:tt` does not.
        _ => false,
    };
    tokens.chunks(2).take_while(|two| attribute(two)).count() * 2
}

/// What the item is, by the first word that is no qualifier.
fn word(tokens: &[TokenTree]) -> Option<(Word, Span)> {
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        let ident = match token {
            TokenTree::Ident(ident) => ident,
            // `pub(crate)`, `extern "C"`, and a `$vis:vis` of `macro_rules`.
            TokenTree::Group(_) | TokenTree::Literal(_) => continue,
            TokenTree::Punct(_) => return None,
        };
        let (next_is_brace, next_is_bang, next_is_name) = match tokens.peek() {
            Some(TokenTree::Group(group)) => (group.delimiter() == Delimiter::Brace, false, false),
            Some(TokenTree::Punct(punct)) => (false, punct.as_char() == '!', false),
            Some(TokenTree::Ident(_)) => (false, false, true),
            _ => (false, false, false),
        };
        let word = match ident.to_string().as_str() {
            "fn" => Word::Fn,
            "impl" => Word::Impl,
            "trait" => Word::Trait,
            "mod" => Word::Mod,
            "struct" | "enum" => Word::Braces,
            "union" if next_is_name => Word::Braces,
            "type" | "use" | "static" => Word::Semicolon,
            _ if next_is_bang => Word::Braces,
            // `extern {`; in front of `fn` it is a qualifier.
            "extern" if next_is_brace => Word::Braces,
            "crate" if next_is_name => Word::Semicolon,
            "const" => match tokens.peek() {
                Some(TokenTree::Ident(next)) if is_qualifier(next) => continue,
                _ => Word::Semicolon,
            },
            _ => continue,
        };
        return Some((word, ident.span()));
    }
    None
}

/// What may stand between `const` and the word that says that it is a function or an implementation.
fn is_qualifier(word: &Ident) -> bool {
    ["fn", "async", "unsafe", "extern", "impl", "trait"].iter().any(|known| word == known)
}

/// Where the item ends: behind its braces or its semicolon.
fn end(word: Option<Word>, tokens: &[TokenTree]) -> usize {
    let at_braces = word != Some(Word::Semicolon);
    let mut depth = 0_usize;
    let mut arrow = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    ';' => return at + 1,
                    '<' => depth += 1,
                    // The `>` of `->` and `=>` closes nothing.
                    '>' if !arrow => depth = depth.saturating_sub(1),
                    _ => {}
                }
                arrow = matches!(punct.as_char(), '-' | '=');
            }
            // `extern "C" {`, too: nothing of a header stands in braces outside of `<>`.
            token if at_braces && depth == 0 && brace(token).is_some() => return at + 1,
            _ => arrow = false,
        }
    }
    tokens.len()
}
