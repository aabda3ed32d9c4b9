//! What of a call is recorded: the option `fields(…)`, and the arguments that are not skipped.

use proc_macro2::{Literal, Punct, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, FnArg, Ident, LitStr, Pat, Signature, Token, Type, braced, token};

use crate::attrs;
use crate::diag::Diag;
use crate::instrumented::fields::{self, Value};
use crate::paths;

pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) value: Value,
}

pub(crate) enum Name {
    Text(String),
    /// `{ CONSTANT }`
    Constant(TokenStream),
}

pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Vec<Field> {
    attrs::list(tokens, field, diag)
}

fn field(input: ParseStream) -> syn::Result<Field> {
    let sigil = match () {
        () if input.peek(Token![%]) || input.peek(Token![?]) => Some(input.parse::<Punct>()?),
        () => None,
    };
    let (name, shown, span, shorthand) = name(input)?;
    let assigned = input.parse::<Option<Token![=]>>()?.is_some();
    let value = if assigned { assigned_value(input, &shown, span)? } else { Value::Empty };
    // The sigil behind the `=` beats the one in front of the name.
    let value = match (sigil.as_ref().map(Punct::as_char), value, assigned) {
        (Some('%'), Value::Plain(expr), _) => Value::Display(expr),
        (Some(_), Value::Plain(expr), _) => Value::Debug(expr),
        (Some('%'), _, false) => Value::Display(shorthand),
        (Some(_), _, false) => Value::Debug(shorthand),
        (_, value, _) => value,
    };
    // Without a value the field is declared for later.
    let value = match value {
        Value::Empty => Value::Plain(empty()),
        value => value,
    };
    Ok(Field { name, value })
}

/// The name, as messages show it, with its place and the expression where no other is given.
fn name(input: ParseStream) -> syn::Result<(Name, String, Span, TokenStream)> {
    if input.peek(token::Brace) {
        let content;
        let brace = braced!(content in input);
        let expr = content.parse::<Expr>()?.into_token_stream();
        let shown = expr.to_string();
        return Ok((Name::Constant(expr.clone()), shown, brace.span.join(), expr));
    }
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        let name = literal.value();
        let span = literal.span();
        return Ok((Name::Text(name.clone()), name, span, literal.into_token_stream()));
    }
    let (name, span, expr) = fields::dotted(input)?;
    Ok((Name::Text(name.clone()), name, span, expr))
}

/// As in `#[instrumented]`, but that a path which ends in `Empty` is a value like any other.
fn assigned_value(input: ParseStream, name: &str, span: Span) -> syn::Result<Value> {
    let ahead = input.fork();
    match fields::value(input, name, span)? {
        Value::Empty => Ok(Value::Plain(ahead.parse::<Expr>()?.into_token_stream())),
        value => Ok(value),
    }
}

fn empty() -> TokenStream {
    let private = paths::private();
    quote_spanned!(Span::mixed_site()=> #private::Empty)
}

/// An argument that is recorded unless it is skipped.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    value: Value,
}

impl Argument {
    fn new(name: Ident, primitive: bool) -> Self {
        let tokens = name.to_token_stream();
        let value = if primitive { Value::Plain(tokens) } else { Value::Debug(tokens) };
        Argument { name, value }
    }

    /// Under its own name, unless one of `fields` has that.
    pub(crate) fn into_field(self, fields: &[Field]) -> Option<Field> {
        let name = self.name.unraw().to_string();
        let named = |field: &Field| matches!(&field.name, Name::Text(other) if *other == name);
        let hidden = fields.iter().any(named);
        (!hidden).then_some(Field { name: Name::Text(name), value: self.value })
    }
}

pub(crate) fn arguments(sig: &Signature) -> Vec<Argument> {
    let mut found = Vec::new();
    for input in &sig.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                let name = Ident::new("self", receiver.self_token.span);
                found.push(Argument::new(name, false));
            }
            FnArg::Typed(typed) => bound(&typed.pat, is_primitive(&typed.ty), &mut found),
        }
    }
    found
}

/// The names that a pattern binds. What is inside a struct or a tuple has a type that is not written
/// here: it is shown by `Debug`.
fn bound(pat: &Pat, primitive: bool, found: &mut Vec<Argument>) {
    let mut all = |pats: &mut dyn Iterator<Item = &Pat>| {
        pats.for_each(|pat| bound(pat, false, found));
    };
    match pat {
        Pat::Ident(name) => found.push(Argument::new(name.ident.clone(), primitive)),
        Pat::Reference(inner) => bound(&inner.pat, primitive, found),
        Pat::Tuple(list) => all(&mut list.elems.iter()),
        Pat::TupleStruct(list) => all(&mut list.elems.iter()),
        Pat::Struct(list) => all(&mut list.fields.iter().map(|field| &*field.pat)),
        _ => {}
    }
}

/// The types that are recorded as they are; of a path only the last name counts.
const PRIMITIVES: &[&str] = &[
    "bool",
    "str",
    "String",
    "f32",
    "f64",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "NonZeroU8",
    "NonZeroU16",
    "NonZeroU32",
    "NonZeroU64",
    "NonZeroU128",
    "NonZeroUsize",
    "NonZeroI8",
    "NonZeroI16",
    "NonZeroI32",
    "NonZeroI64",
    "NonZeroI128",
    "NonZeroIsize",
    "Wrapping",
];

fn is_primitive(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| PRIMITIVES.iter().any(|name| last.ident == name))
        }
        Type::Reference(reference) => is_primitive(&reference.elem),
        _ => false,
    }
}

/// The names, as the site declares them.
pub(crate) fn names(fields: &[Field]) -> TokenStream {
    let names = fields.iter().map(|field| match &field.name {
        Name::Text(text) => Literal::string(text).into_token_stream(),
        Name::Constant(expr) => expr.clone(),
    });
    quote_spanned!(Span::mixed_site()=> &[#(#names),*])
}

/// The values, in the order of the names.
pub(crate) fn values(fields: &[Field]) -> TokenStream {
    let values = fields.iter().map(|field| fields::recorded(&field.value));
    let values = quote!(#(#values),*);
    quote_spanned!(Span::mixed_site()=> &[#values])
}
