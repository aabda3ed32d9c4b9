//! `measured!`: a block, an `async` block or a closure as a call, where no attribute may stand.

#[cfg(feature = "instrument")]
mod expand;
#[cfg(feature = "instrument")]
mod model;
mod parse;

use proc_macro2::TokenStream;

use crate::diag::Diag;

/// What is emitted after a mistake: the expression as it is, so that the compiler knows its type.
pub(crate) struct Expanded {
    pub(crate) measured: Option<TokenStream>,
    pub(crate) bare: Option<TokenStream>,
}

/// `None` for the bare expression if not even that was found (then `diag` says why).
#[cfg(feature = "instrument")]
pub(crate) fn expand(input: TokenStream, diag: &mut Diag) -> Expanded {
    let Some(input) = parse::input(input, diag) else {
        return Expanded { measured: None, bare: None };
    };
    let bare = Some(input.body.bare());
    let measured = model::model(input, diag).map(|model| expand::expand(&model));
    Expanded { measured, bare }
}

/// With the feature `instrument` off there is only the bare expression.
#[cfg(not(feature = "instrument"))]
pub(crate) fn expand(input: TokenStream, diag: &mut Diag) -> Expanded {
    let bare = parse::input(input, diag).map(|input| input.body.bare());
    Expanded { measured: None, bare }
}
