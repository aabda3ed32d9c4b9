//! What an option's expression must not do: end the function, or make it wait. A field is asked only while
//! somebody records the call, so the function would go another way then than without.

use proc_macro2::{TokenStream, TokenTree};

use crate::diag::Diag;

/// Notes each `?`, `return` and `.await` that belongs to the code around the expression.
pub(crate) fn judge(expression: &TokenStream, diag: &mut Diag) {
    let mut before = None;
    for token in expression.clone() {
        let word = token.to_string();
        let fix = match &token {
            // What follows is a closure's, up to the end of the list that it stands in.
            TokenTree::Punct(punct) if punct.as_char() == '|' => return,
            TokenTree::Group(_) if before.as_deref() == Some("async") => None,
            TokenTree::Group(group) => {
                judge_each(group.stream(), diag);
                None
            }
            TokenTree::Punct(_) if word == "?" => {
                Some("take the value as it is, as in `.ok()` or, in `fields`, `?value`")
            }
            TokenTree::Ident(_) if word == "return" => Some("remove it"),
            TokenTree::Ident(_) if word == "await" && before.as_deref() == Some(".") => {
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
            before = Some(word);
        }
    }
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
