//! The option `fields(…)`: what of a call is recorded. Nothing that is not listed here is.

use proc_macro2::{Literal, Punct, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Expr, Ident, Lit, LitStr, Token, token};

use crate::attrs;
use crate::diag::Diag;
use crate::paths;

/// `tracing` cannot make a span with more.
const MOST: usize = 32;
const FORMS: &str = "`name = expr`, `name = %expr` or `name = ?expr`";

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    /// Declared for `tracing::Span::current().record(…)` later on.
    Empty,
    Plain(TokenStream),
    Display(TokenStream),
    Debug(TokenStream),
}

impl Value {
    pub(crate) fn tokens(&self) -> Option<&TokenStream> {
        match self {
            Value::Empty => None,
            Value::Plain(expr) | Value::Display(expr) | Value::Debug(expr) => Some(expr),
        }
    }
}

/// A field as written, with the place that messages about it point to.
struct Raw {
    span: Span,
    field: Field,
}

pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Vec<Field> {
    judge(attrs::list(tokens, raw, diag), diag)
}

fn judge(found: Vec<Raw>, diag: &mut Diag) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (index, raw) in found.into_iter().enumerate() {
        let name = &raw.field.name;
        if name.is_empty() {
            diag.at(raw.span, "a field's name must not be empty");
        } else if fields.iter().any(|other| other.name == *name) {
            diag.at(raw.span, format!("duplicate field `{name}`; keep one of them"));
        } else {
            if index == MOST {
                diag.at(raw.span, format!("a span has at most {MOST} fields; this is one more"));
            }
            fields.push(raw.field);
        }
    }
    fields
}

fn raw(input: ParseStream) -> syn::Result<Raw> {
    if input.peek(Token![%]) || input.peek(Token![?]) {
        let sigil: Punct = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            let message = format!("missing expression behind `{}`", sigil.as_char());
            return Err(syn::Error::new(sigil.span(), message));
        }
        let display = sigil.as_char() == '%';
        let (name, span, expr) = dotted(input)?;
        let value = if display { Value::Display(expr) } else { Value::Debug(expr) };
        return Ok(Raw { span, field: Field { name, value } });
    }
    let (name, span, shorthand) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.value(), literal.span(), None)
    } else {
        let (name, span, expr) = dotted(input)?;
        (name, span, Some(expr))
    };
    if input.peek(Token![:]) || input.peek(Token![=>]) {
        return Err(input.error(format!("a field's value stands behind `=`: {FORMS}")));
    }
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        let value = value(input, &name, span)?;
        return Ok(Raw { span, field: Field { name, value } });
    }
    // `name.len()`, `id as u32`
    if shorthand.is_some() && (input.peek(token::Paren) || input.peek(Token![as])) {
        let message = format!("what is more than a name needs one in front: {FORMS}");
        return Err(input.error(message));
    }
    match shorthand {
        Some(expr) => Ok(Raw { span, field: Field { name, value: Value::Plain(expr) } }),
        None => Err(syn::Error::new(span, format!("missing value for a quoted name: {FORMS}"))),
    }
}

/// `a`, `a.b`, `pair.0`: the name of the field, and an expression where no other is given.
pub(crate) fn dotted(input: ParseStream) -> syn::Result<(String, Span, TokenStream)> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error(format!("expected a field: {FORMS}")));
    }
    let first = input.call(Ident::parse_any)?;
    let span = first.span();
    let mut name = first.unraw().to_string();
    let mut expr = first.into_token_stream();
    while input.peek(Token![.]) {
        let dot: Token![.] = input.parse()?;
        if !input.peek(Ident::peek_any) && !input.peek(Lit) {
            return Err(syn::Error::new(dot.span(), "expected a name behind the dot"));
        }
        dot.to_tokens(&mut expr);
        let part: TokenTree = input.parse()?;
        match &part {
            TokenTree::Ident(ident) => name = format!("{name}.{}", ident.unraw()),
            other => name = format!("{name}.{other}"),
        }
        part.to_tokens(&mut expr);
    }
    Ok((name, span, expr))
}

pub(crate) fn value(input: ParseStream, name: &str, span: Span) -> syn::Result<Value> {
    let display = input.parse::<Option<Token![%]>>()?.is_some();
    let debug = !display && input.parse::<Option<Token![?]>>()?.is_some();
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(span, format!("missing value for field `{name}`: {FORMS}")));
    }
    let expr = attrs::expr(input)?;
    Ok(match expr {
        expr if display => Value::Display(expr.into_token_stream()),
        expr if debug => Value::Debug(expr.into_token_stream()),
        expr if is_empty(&expr) => Value::Empty,
        expr => Value::Plain(expr.into_token_stream()),
    })
}

/// `Empty`, `field::Empty`, `tracing::field::Empty`.
fn is_empty(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Empty"),
        _ => false,
    }
}

/// The names, as the site declares them.
pub(crate) fn names(fields: &[Field]) -> TokenStream {
    let at = Span::mixed_site();
    if fields.is_empty() {
        let private = paths::private();
        return quote_spanned!(at=> #private::NO_FIELDS);
    }
    let names = fields.iter().map(|field| Literal::string(&field.name));
    quote_spanned!(at=> &[#(#names),*])
}

/// The values, in the order of the names.
pub(crate) fn values(fields: &[Field]) -> TokenStream {
    let values = fields.iter().map(|field| recorded(&field.value));
    let values = quote!(#(#values),*);
    quote_spanned!(Span::mixed_site()=> &[#values])
}

/// One value, as the runtime takes it.
pub(crate) fn recorded(value: &Value) -> TokenStream {
    // The expression's place: a missing trait is then reported at the user's token.
    let place = value.tokens().map_or_else(Span::mixed_site, Spanned::span);
    let at = Span::mixed_site().located_at(place);
    let private = paths::private_at(at);
    match value {
        Value::Empty => quote_spanned!(at=> ::core::option::Option::None),
        Value::Plain(expr) => {
            quote_spanned!(at=> ::core::option::Option::Some(#private::value(&(#expr))))
        }
        Value::Display(expr) => {
            quote_spanned!(at=> ::core::option::Option::Some(&#private::display(&(#expr))))
        }
        Value::Debug(expr) => {
            quote_spanned!(at=> ::core::option::Option::Some(&#private::debug(&(#expr))))
        }
    }
}
