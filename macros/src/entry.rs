//! Every macro's way: parse, model, expand; after a mistake, the errors and the untouched item.

use proc_macro2::TokenStream;
use quote::quote;

use crate::diag::Diag;

pub(crate) fn instrumented(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute("#[instrumented]", args, item, crate::instrumented::expand)
}

pub(crate) fn instrument(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute("#[compat::instrument]", args, item, crate::compat::expand)
}

fn attribute(
    name: &str,
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
    expand: impl FnOnce(TokenStream, &mut TokenStream, &mut Diag) -> Option<TokenStream>,
) -> proc_macro::TokenStream {
    let mut item = TokenStream::from(item);
    let mut diag = Diag::new();
    let expanded = expand(args.into(), &mut item, &mut diag);
    // Without the item one typo would be followed by "cannot find function" at every caller.
    let output = match (diag.into_errors(), expanded) {
        // Where an expression stands there is place for one.
        (Some(errors), _) if crate::attrs::is_expression(&item) => {
            quote!({ #errors #item })
        }
        (Some(errors), _) => quote!(#errors #item),
        (None, Some(expanded)) => expanded,
        (None, None) => item,
    };
    shown(name, output)
}

/// After a mistake, the errors and the expression without us, which still has its type.
pub(crate) fn measured(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut diag = Diag::new();
    let expanded = crate::measured::expand(input.into(), &mut diag);
    let output = match (diag.into_errors(), expanded.measured, expanded.bare) {
        (None, Some(measured), _) => measured,
        (None, None, bare) => quote!(#bare),
        (Some(errors), _, Some(bare)) => quote!({ #errors #bare }),
        // Of any type.
        (Some(errors), _, None) => quote!({ #errors loop {} }),
    };
    shown("measured!", output)
}

/// What a derive wrote, which after a mistake is still an implementation: without one every use of
/// the type would be a second message.
pub(crate) fn derive(
    name: &str,
    input: proc_macro::TokenStream,
    expand: impl FnOnce(TokenStream, &mut Diag) -> Option<TokenStream>,
) -> proc_macro::TokenStream {
    let mut diag = Diag::new();
    let expanded = expand(input.into(), &mut diag);
    let errors = diag.into_errors();
    shown(name, quote!(#errors #expanded))
}

fn shown(name: &str, output: TokenStream) -> proc_macro::TokenStream {
    if std::env::var_os("REDSPAN_MACROS_DEBUG").is_some_and(|value| value == "1") {
        eprintln!("{name} expands to:\n{output}\n");
    }
    // Its tokens are the compiler's, which takes them back when a macro is done.
    crate::paths::set_root(None);
    output.into()
}
