//! What an option's expression must not do: end the function, or make it wait. A field is asked only while
//! somebody records the call, so the function would go another way then than without.

use proc_macro2::{TokenStream, TokenTree};

use crate::diag::Diag;

/// Notes each `?`, `return` and `.await` that belongs to the code around the expression.
pub(crate) fn judge(expression: &TokenStream, diag: &mut Diag) {
    let mut before: Option<TokenTree> = None;
    for token in expression.clone() {
        let word = token.to_string();
        let fix = match &token {
            // What follows is a closure's, up to the end of the list that it stands in.
            TokenTree::Punct(punct) if punct.as_char() == '|' && begins_closure(&before) => return,
            TokenTree::Group(_) if is_async(&before) => None,
            TokenTree::Group(group) => {
                judge_each(group.stream(), diag);
                None
            }
            TokenTree::Punct(_) if word == "?" => {
                Some("take the value as it is, as in `.ok()` or, in `fields`, `?value`")
            }
            TokenTree::Ident(_) if word == "return" => Some("remove it"),
            TokenTree::Ident(_) if word == "await" && is_dot(&before) => {
                Some("await it in the body, and write it to `redspan::current_span()`")
            }
            _ => None,
        };
        if let Some(fix) = fix {
            let shown = if word == "await" { ".await" } else { &word };
            let message = format!(
                "`{shown}` has no place in an option, which must not decide how the function goes on: {fix}"
            );
            diag.at(token.span(), message);
        }
        // `async move { … }`
        if word != "move" {
            before = Some(token);
        }
    }
}

/// Behind a value a `|` is an operator, and behind another one its second half.
fn begins_closure(before: &Option<TokenTree>) -> bool {
    match before {
        None => true,
        Some(TokenTree::Punct(punct)) => !matches!(punct.as_char(), '?' | '|'),
        Some(_) => is_async(before),
    }
}

fn is_async(before: &Option<TokenTree>) -> bool {
    matches!(before, Some(TokenTree::Ident(word)) if word == "async")
}

fn is_dot(before: &Option<TokenTree>) -> bool {
    matches!(before, Some(TokenTree::Punct(punct)) if punct.as_char() == '.')
}

/// The same, of what stands between commas.
fn judge_each(list: TokenStream, diag: &mut Diag) {
    let mut one = TokenStream::new();
    for token in list {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                judge(&std::mem::take(&mut one), diag);
            }
            other => one.extend([other]),
        }
    }
    judge(&one, diag);
}
