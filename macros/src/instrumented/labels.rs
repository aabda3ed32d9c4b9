//! The option `labels(…)`: what a site's metrics are told apart by. Only closed sets, and open ones with
//! a cap.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Expr, ExprCall, ExprLit, Ident, Lit, Token};

use crate::attrs;
use crate::diag::Diag;
use crate::paths;

const FORMS: &str = "`tier = order.tier`, `tenant = capped(order.tenant, 100)` or \
                     `kind = |result| …`";

/// The runtime keeps no more label sets of one function apart.
const MOST_SETS: u64 = 4096;

/// Each of them makes every series longer.
const MOST: usize = 8;

/// Names that the metrics of a function carry anyway, or that Prometheus keeps for itself.
const TAKEN: &[&str] = &[
    "function",
    "module",
    "service_name",
    "result",
    "outcome",
    "error_type",
    "objective_name",
    "objective_percentile",
    "objective_latency_threshold",
    "caller_function",
    "caller_module",
    "le",
    "quantile",
    "job",
    "instance",
];

pub(crate) struct Label {
    pub(crate) name: Ident,
    pub(crate) value: Value,
    /// The most values that are told apart, of a set that is not closed.
    cap: Option<u32>,
}

pub(crate) enum Value {
    /// A literal, or `const { … }`.
    Constant(TokenStream),
    /// Known before the body runs.
    Given(TokenStream),
    /// A closure that is asked about the returned value.
    Returned(TokenStream),
}

impl Label {
    /// What it reads of the function's parameters.
    pub(crate) fn given(&self) -> Option<&TokenStream> {
        match &self.value {
            Value::Given(expr) => Some(expr),
            Value::Constant(_) | Value::Returned(_) => None,
        }
    }

    pub(crate) fn is_returned(&self) -> bool {
        matches!(self.value, Value::Returned(_))
    }
}

pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Vec<Label> {
    let mut found = Vec::new();
    for label in attrs::list(tokens, label, diag) {
        judge(label, &mut found, diag);
    }
    found
}

fn label(input: ParseStream) -> syn::Result<Label> {
    if !input.peek(Ident) {
        return Err(input.error(format!("expected a label: {FORMS}")));
    }
    let name: Ident = input.parse()?;
    if input.is_empty() || input.peek(Token![,]) {
        let value = Value::Given(name.to_token_stream());
        return Ok(Label { name, value, cap: None });
    }
    if input.peek(Token![.]) {
        let message = format!("a label needs a name without a dot: {FORMS}");
        return Err(input.error(message));
    }
    if !input.peek(Token![=]) {
        return Err(input.error(format!("expected `=` after the label `{name}`: {FORMS}")));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        let message = format!("missing value for label `{name}`: {FORMS}");
        return Err(syn::Error::new(name.span(), message));
    }
    if input.peek(Token![?]) || input.peek(Token![%]) {
        let message = format!("a label is one of a set of values, and not any text: {FORMS}");
        return Err(input.error(message));
    }
    let expr = attrs::ungroup(attrs::expr(input)?);
    let (expr, cap) = match expr {
        Expr::Call(call) if is_capped(&call) => {
            let (expr, cap) = capped(call)?;
            (expr, Some(cap))
        }
        other => (other, None),
    };
    let value = match expr {
        Expr::Closure(closure) => Value::Returned(closure.into_token_stream()),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if cap.is_none() => {
            if text.value().is_empty() {
                let message = "a label's value must not be empty: Prometheus takes it for no label \
                               at all";
                return Err(syn::Error::new(text.span(), message));
            }
            Value::Constant(text.into_token_stream())
        }
        Expr::Const(block) if cap.is_none() => Value::Constant(block.block.into_token_stream()),
        other => Value::Given(other.into_token_stream()),
    };
    Ok(Label { name, value, cap })
}

fn is_capped(call: &ExprCall) -> bool {
    matches!(&*call.func, Expr::Path(path) if path.path.is_ident("capped"))
}

/// `capped(value, 100)`
fn capped(call: ExprCall) -> syn::Result<(Expr, u32)> {
    let at = call.func.span();
    let mut arguments = call.args.into_iter();
    let (Some(value), Some(cap), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        let message = "`capped` takes a value and the most values that are told apart: \
                       `capped(order.tenant, 100)`";
        return Err(syn::Error::new(at, message));
    };
    let cap = attrs::ungroup(cap);
    let number = match &cap {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<u32>().ok(),
        _ => None,
    };
    match number {
        Some(most @ 1..=1000) => Ok((attrs::ungroup(value), most)),
        _ => Err(syn::Error::new(
            cap.span(),
            "the most values that are told apart is a number from 1 to 1000: `capped(value, 100)`",
        )),
    }
}

/// Why this cannot be a label's name.
pub(crate) fn label_name(name: &str) -> Result<(), String> {
    let plain =
        |at: usize, c: char| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    if TAKEN.contains(&name) {
        return Err(format!("the metrics have a label `{name}` of their own; use another name"));
    }
    if name.starts_with("__") || !name.chars().enumerate().all(|(at, c)| plain(at, c)) {
        let message = "a label's name is of ASCII letters, digits and `_`, and no keyword; `__` in \
                       front is Prometheus' own";
        return Err(message.to_owned());
    }
    Ok(())
}

fn judge(label: Label, found: &mut Vec<Label>, diag: &mut Diag) {
    let name = label.name.to_string();
    let at = label.name.span();
    // With one more for what finds no place.
    let sets = |labels: &[Label]| -> u64 {
        labels.iter().filter_map(|label| label.cap).map(|cap| u64::from(cap) + 1).product()
    };
    if let Err(message) = label_name(&name) {
        diag.at(at, message);
    } else if found.iter().any(|other| other.name == name) {
        diag.at(at, format!("duplicate label `{name}`; keep one of them"));
    } else if found.len() == MOST {
        diag.at(at, format!("a function has at most {MOST} labels; this is one more"));
    } else {
        found.push(label);
        if sets(found) > MOST_SETS {
            let sets = sets(found);
            found.pop();
            let message = format!(
                "up to {sets} label sets, and at most {MOST_SETS} are told apart; lower a cap"
            );
            diag.at(at, message);
        }
    }
}

/// The names, as the site declares them: those given, and those from the returned value.
pub(crate) fn names(labels: &[Label], returned: bool) -> TokenStream {
    let names = labels
        .iter()
        .filter(|label| label.is_returned() == returned)
        .map(|label| Literal::string(&label.name.to_string()));
    quote_spanned!(Span::mixed_site()=> &[#(#names),*])
}

/// What the call says, in the order of the names. `value` is the returned one, if it is about that.
pub(crate) fn choices(labels: &[Label], returned: Option<&TokenStream>) -> TokenStream {
    let choices =
        labels.iter().filter(|label| label.is_returned() == returned.is_some()).map(|label| {
            let at = Span::mixed_site();
            let (expr, place) = match (&label.value, returned) {
                (Value::Constant(value), _) => {
                    let private = paths::private();
                    return quote_spanned!(at=> #private::constant(const { &[#value] }));
                }
                (Value::Returned(closure), Some(returned)) => {
                    let place = at.located_at(closure.span());
                    let private = paths::private_at(place);
                    (quote_spanned!(place=> #private::asked(#returned, #closure)), place)
                }
                (Value::Given(expr) | Value::Returned(expr), _) => {
                    (expr.clone(), at.located_at(expr.span()))
                }
            };
            // The expression's place: a missing trait is then reported at the user's token.
            let private = paths::private_at(place);
            match label.cap {
                None => quote_spanned!(place=> #private::closed(&(#expr))),
                Some(cap) => {
                    let cap = Literal::u32_suffixed(cap);
                    quote_spanned!(place=> #private::capped(&(#expr), #cap))
                }
            }
        });
    quote_spanned!(Span::mixed_site()=> &[#(#choices),*])
}
