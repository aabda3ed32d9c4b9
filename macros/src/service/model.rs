//! Which functions of a block are instrumented, and with which options.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, ImplItemType, Meta, ReturnType, Type, TypePath};

use super::name::{self, Owner};
use super::parse::{Block, Content, Item, Ours, is_ours};
use crate::attrs::{self, Entry};
use crate::diag::Diag;
use crate::instrumented::{self, Function, Model, Place, Shared};
use crate::options::{INSTRUMENTED, Known};

/// Where the options of one function in a block stand.
const PART: Place = Place { nameless: false, part: true };

/// A block whose functions have been judged.
pub(crate) struct Service {
    /// Without its items: they are parts.
    pub(crate) block: Block,
    pub(crate) parts: Vec<Part>,
}

pub(crate) enum Part {
    Function(Box<Model>),
    Block(Service),
    /// As it is.
    Plain(TokenStream),
}

/// What the blocks around a function say, the innermost last.
#[derive(Clone, Default)]
struct Said {
    args: Vec<TokenStream>,
    /// Whether some of it is a mistake, and was reported.
    mistaken: bool,
}

pub(crate) fn model(args: TokenStream, block: Block, diag: &mut Diag) -> Service {
    for attr in block.attrs.iter().filter(|attr| is_ours(attr)) {
        second(attr.path().span(), diag);
    }
    let said = of_block(args, &Said::default(), false, diag);
    service(block, &said, diag)
}

pub(crate) const SECOND: &str = "a second `#[instrumented]`; keep one of them";

fn second(at: Span, diag: &mut Diag) {
    diag.at(at, SECOND);
}

/// Judges what `#[instrumented(…)]` on a block says, once, and not once more for each function.
fn of_block(args: TokenStream, around: &Said, part: bool, diag: &mut Diag) -> Said {
    let before = diag.len();
    let entries = super::without_off(
        attrs::entries(args.clone(), "level = \"debug\"", diag),
        "remove the attribute",
        diag,
    );
    let (names, others): (Vec<Entry>, _) =
        entries.into_iter().partition(|entry| entry.key == "name");
    for entry in names {
        let message = "one name for all functions of a block would tell nothing: give each its own, or \
                       the whole service one: `#[derive(Instrumented)]` on the struct";
        diag.at(entry.key.span(), message);
    }
    let _ = instrumented::options(others, Place { nameless: true, part }, diag);
    let mistaken = around.mistaken || diag.len() > before;
    Said { args: around.args.iter().cloned().chain([args]).collect(), mistaken }
}

fn service(mut block: Block, said: &Said, diag: &mut Diag) -> Service {
    let owner = name::owner(block.kind, &block.head);
    let items = std::mem::take(&mut block.items);
    let around = Around { owner: owner.as_ref(), types: types(&items), said };
    let parts = items.into_iter().map(|item| part(item, &around, diag)).collect();
    Service { block, parts }
}

/// What the functions of a block find around them.
struct Around<'a> {
    owner: Option<&'a Owner>,
    /// The associated types, which functions return as `Self::Future`.
    types: Vec<ImplItemType>,
    said: &'a Said,
}

impl Around<'_> {
    /// The type that a function returns by the name that the block gives it.
    fn returns(&self, output: &ReturnType) -> Option<Type> {
        let ReturnType::Type(_, written) = output else { return None };
        let Type::Path(TypePath { qself: None, path, .. }) = &**written else { return None };
        let segments: Vec<_> = path.segments.iter().collect();
        let [first, name] = segments[..] else { return None };
        let named = self.types.iter().find(|ty| ty.ident == name.ident)?;
        (first.ident == "Self" && name.arguments.is_none()).then(|| named.ty.clone())
    }
}

/// Those without parameters of their own, which would have to be put in.
fn types(items: &[Item]) -> Vec<ImplItemType> {
    let ty = |item: &Item| match &item.content {
        Content::Other(tokens) => syn::parse2::<ImplItemType>(tokens.clone()).ok(),
        Content::Function(_) | Content::Block(_) => None,
    };
    items.iter().filter_map(ty).filter(|ty| ty.generics.params.is_empty()).collect()
}

fn part(item: Item, around: &Around<'_>, diag: &mut Diag) -> Part {
    let Item { ours, attrs, content } = item;
    let mut ours = ours.into_iter();
    let own = ours.next();
    ours.for_each(|other| second(other.span, diag));
    let plain = |content: Content| Part::Plain(super::expand::item(&attrs, &content));
    let off = own.as_ref().is_some_and(|own| is_off(own, diag));
    match content {
        content if off || (own.is_none() && attrs.iter().any(is_for_tests)) => plain(content),
        Content::Function(ref tokens) => {
            let whole = quote!(#(#attrs)* #tokens);
            let function = function(whole, own, around, diag);
            function.map_or_else(|| plain(content), |model| Part::Function(Box::new(model)))
        }
        Content::Block(mut block) => {
            block.attrs = attrs;
            let said = match own {
                Some(own) => of_block(own.args, around.said, true, diag),
                None => around.said.clone(),
            };
            Part::Block(service(*block, &said, diag))
        }
        Content::Other(_) => {
            if let Some(own) = own {
                let message =
                    "expected a function or a block of them: there is nothing to measure here";
                diag.at(own.span, message);
            }
            plain(content)
        }
    }
}

/// `#[instrumented(off)]`
fn is_off(own: &Ours, diag: &mut Diag) -> bool {
    let entries = attrs::entries(own.args.clone(), instrumented::SUCH, &mut Diag::new());
    let Some(at) = entries.iter().position(|entry| entry.key == "off") else { return false };
    let alone = matches!(entries[at].form, attrs::Form::Bare);
    if let Some(other) = entries.iter().find(|entry| entry.key != "off") {
        diag.at(other.key.span(), "`off` leaves nothing that could have options; keep one of them");
    } else if !alone || entries.len() > 1 {
        diag.at(entries[at].key.span(), "`off` stands alone: `#[instrumented(off)]`");
    }
    true
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`: not what runs in production.
fn is_for_tests(attr: &Attribute) -> bool {
    let path = attr.path();
    if path.is_ident("cfg") {
        return matches!(&attr.meta, Meta::List(list) if list.tokens.to_string() == "test");
    }
    path.segments.last().is_some_and(|last| last.ident == "test")
}

/// `None`: the function stays as it is.
fn function(
    whole: TokenStream,
    own: Option<Ours>,
    around: &Around<'_>,
    diag: &mut Diag,
) -> Option<Model> {
    let &Around { owner, said, .. } = around;
    let mut unread = Diag::new();
    let mut function = instrumented::function(whole, &mut unread);
    if let Some(function) = &mut function {
        function.returns = around.returns(&function.sig.output);
    }
    if function.as_ref().is_some_and(|function| function.written_by.is_some()) {
        diag.at(Span::call_site(), instrumented::TWICE);
        return None;
    }
    let Some(own) = own else {
        // What has no instrumented form is left out, unless it asks for one itself. Nor is syntax that
        // nobody knows yet ours to refuse.
        let function = function.filter(has_form)?;
        let options = merged(said, None, is_polled(&function), &mut Diag::new());
        return model_of(options, function, owner, diag);
    };
    let before = diag.len();
    let _ = instrumented::options(
        attrs::entries(own.args.clone(), instrumented::SUCH, diag),
        PART,
        diag,
    );
    diag.absorb(unread);
    let mistaken = said.mistaken || diag.len() > before;
    // What only clashes with what the block says.
    let mut clashes = Diag::new();
    let is_polled = function.as_ref().is_some_and(is_polled);
    let options = merged(said, Some(own.args), is_polled, &mut clashes);
    if !mistaken {
        diag.absorb(clashes);
    }
    model_of(options, function?, owner, diag)
}

fn model_of(
    options: instrumented::Options,
    function: Function,
    owner: Option<&Owner>,
    diag: &mut Diag,
) -> Option<Model> {
    let mut model = instrumented::model(options, function, diag)?;
    if let Some(owner) = owner {
        model.owner = Some(owner.name.clone());
        model.shared = match (owner.is_type, model.sig.receiver()) {
            (false, _) => Shared::Nothing,
            (true, None) => Shared::Name,
            (true, Some(_)) => Shared::Receiver,
        };
    }
    Some(model)
}

/// A function's options: its own, and those of the blocks around that it does not replace.
fn merged(
    said: &Said,
    own: Option<TokenStream>,
    is_polled: bool,
    diag: &mut Diag,
) -> instrumented::Options {
    let mut entries =
        own.map_or_else(Vec::new, |own| attrs::entries(own, instrumented::SUCH, &mut Diag::new()));
    for args in said.args.iter().rev() {
        let outer = attrs::entries(args.clone(), instrumented::SUCH, &mut Diag::new()).into_iter();
        let outer: Vec<Entry> = outer
            .filter(|outer| is_polled || outer.key != "busy")
            .filter(|outer| !entries.iter().any(|inner| replaces(inner, outer)))
            .collect();
        entries.extend(outer);
    }
    instrumented::options(entries, PART, diag)
}

/// Whether there is a future, or a stream, to be polled.
fn is_polled(function: &Function) -> bool {
    function.sig.asyncness.is_some()
        || instrumented::returns_later(&function.sig.output, function.returns.as_ref())
}

/// An option goes before the same one of the block, before what says it in another way, and before what
/// it leaves no place for.
fn replaces(inner: &Entry, outer: &Entry) -> bool {
    let excludes = |option: &Known| {
        inner.key == option.name && option.excludes.iter().any(|other| outer.key == other)
    };
    let needs = |option: &Known| {
        let needs = option.needs.as_ref();
        outer.key == option.name && needs.is_some_and(|needs| inner.key == needs.option)
    };
    inner.key == outer.key
        || INSTRUMENTED.iter().any(excludes)
        || (inner.is_false() && INSTRUMENTED.iter().any(needs))
}

fn has_form(function: &Function) -> bool {
    let sig = &function.sig;
    function.body.is_some() && sig.constness.is_none() && sig.variadic.is_none()
}

impl ToTokens for Content {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Content::Function(all) | Content::Other(all) => tokens.extend(all.clone()),
            Content::Block(block) => tokens.extend(super::expand::plain(block)),
        }
    }
}
