//! Every macro's way: parse, model, expand; after a mistake, the errors and the untouched item.

use proc_macro2::TokenStream;
use quote::quote;

use crate::diag::Diag;

pub(crate) fn instrumented(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let (args, item) = (TokenStream::from(args), TokenStream::from(item));
    finish("instrumented", item.clone(), |diag| crate::instrumented::expand(args, item, diag))
}

/// Without this fallback one typo would be followed by "cannot find function" at every caller.
fn finish(
    name: &str,
    item: TokenStream,
    expand: impl FnOnce(&mut Diag) -> Option<TokenStream>,
) -> proc_macro::TokenStream {
    let mut diag = Diag::new();
    let expanded = expand(&mut diag);
    let output = match (diag.into_errors(), expanded) {
        (Some(errors), _) => quote!(#errors #item),
        (None, Some(expanded)) => expanded,
        (None, None) => item,
    };
    if std::env::var_os("REDSPAN_MACROS_DEBUG").is_some_and(|value| value == "1") {
        eprintln!("#[{name}] expands to:\n{output}\n");
    }
    output.into()
}
