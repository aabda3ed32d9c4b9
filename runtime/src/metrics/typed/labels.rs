//! Label sets with a type.

/// The labels of a metric, as a struct: each a closed set ([`Label`](trait@crate::Label)), or a text
/// of which only so many are told apart.
///
/// Derive it ([`derive@Labels`](macro@crate::Labels)).
///
/// ```
/// use redspan::metrics::Labels;
/// use redspan::Label;
///
/// #[derive(Label)]
/// enum Region { Eu, Us }
///
/// #[derive(redspan::Labels)]
/// struct Placed {
///     region: Region,
///     express: bool,
///     #[label(cap = 100)]
///     tenant: String,
/// }
///
/// assert_eq!(Placed::NAMES, ["region", "express", "tenant"]);
/// assert_eq!(Placed::CLOSED, 4);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no label set",
    note = "write `#[derive(redspan::Labels)]` on a struct of labels"
)]
pub trait Labels {
    /// The labels' names.
    const NAMES: &'static [&'static str];

    /// The values of each label that is a closed set; none for a text.
    const SETS: &'static [&'static [&'static str]];

    /// How many values of each label are told apart; 0 for a closed set.
    const CAPS: &'static [usize];

    /// How many combinations the closed sets have.
    const CLOSED: usize;

    /// Which combination of the closed sets this is; below [`CLOSED`](Self::CLOSED).
    fn slot(&self) -> usize;

    /// The value of the label at `at` of [`NAMES`](Self::NAMES).
    fn value(&self, at: usize) -> &str;
}

/// No labels.
impl Labels for () {
    const NAMES: &'static [&'static str] = &[];
    const SETS: &'static [&'static [&'static str]] = &[];
    const CAPS: &'static [usize] = &[];
    const CLOSED: usize = 1;

    #[inline]
    fn slot(&self) -> usize {
        0
    }

    fn value(&self, _: usize) -> &str {
        ""
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    const NAMES: &'static [&'static str] = L::NAMES;
    const SETS: &'static [&'static [&'static str]] = L::SETS;
    const CAPS: &'static [usize] = L::CAPS;
    const CLOSED: usize = L::CLOSED;

    #[inline]
    fn slot(&self) -> usize {
        L::slot(self)
    }

    fn value(&self, at: usize) -> &str {
        L::value(self, at)
    }
}
