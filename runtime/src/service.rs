//! What all methods of a service have in common: written by `#[derive(Instrumented)]`, taken over by the
//! methods in instrumented blocks.

use crate::label::Label;
use crate::red::chosen::Chosen;
use crate::red::labelled::Choice;
use opentelemetry::{KeyValue, Value};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// What is known of a service without one of its values.
#[derive(Debug)]
pub struct Info {
    /// Its name.
    pub component: &'static str,
    /// The names of the labels that its values give.
    pub labels: &'static [&'static str],
}

/// What the values of a service give.
pub trait Shared {
    /// Adds the span attributes.
    fn attributes(&self, to: &mut Attributes) {
        let _ = to;
    }

    /// Hands over the labels, in the order of their names.
    fn labels(&self, to: &mut dyn FnMut(&[Choice<'_>])) {
        to(&[]);
    }
}

/// A service: the derive implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no service, which other calls could take something over from",
    label = "no service",
    note = "write `#[derive(redspan::Instrumented)]` on it"
)]
pub trait Service: Shared {
    /// What is known without a value.
    const INFO: &'static Info;
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: Shared + ?Sized> Shared for $pointer {
            fn attributes(&self, to: &mut Attributes) {
                T::attributes(self, to);
            }

            fn labels(&self, to: &mut dyn FnMut(&[Choice<'_>])) {
                T::labels(self, to);
            }
        }

        impl<T: Service + ?Sized> Service for $pointer {
            const INFO: &'static Info = T::INFO;
        }
    )*};
}

pointers!(&T, &mut T, Box<T>, Arc<T>, Rc<T>);

/// For `service = expr`.
pub fn of<T: Service>(value: &T) -> Option<Held<'_>> {
    Some(Held { info: T::INFO, this: Some(value) })
}

/// What the calls of one site take over from their service: learned from the first of them.
pub(crate) struct Learned {
    pub(crate) info: &'static Info,
    /// Which of its labels the function does not give itself.
    own: Vec<bool>,
    /// The names of those.
    pub(crate) labels: Vec<&'static str>,
}

impl Learned {
    /// All calls of a site have a receiver, or none has.
    pub(crate) fn new(held: &Held<'_>, given: impl Iterator<Item = &'static str>) -> Self {
        let info = held.info;
        let given: Vec<_> = given.collect();
        let own = |name| held.this.is_some() && !given.contains(name);
        let own: Vec<bool> = info.labels.iter().map(own).collect();
        let labels = info.labels.iter().zip(&own).filter_map(|(&name, own)| own.then_some(name));
        Learned { info, labels: labels.collect(), own }
    }

    /// The labels of a call: those of the function, then those of the service.
    pub(crate) fn joined<'a>(&self, given: &[Choice<'a>], own: &[Choice<'a>]) -> Joined<'a> {
        let own = own.iter().zip(&self.own).filter_map(|(choice, &own)| own.then_some(choice));
        let mut joined = Joined {
            choices: [const { Choice::Closed { index: 0, values: &[] } }; MOST],
            count: 0,
        };
        for (place, choice) in joined.choices.iter_mut().zip(given.iter().chain(own)) {
            *place = *choice;
            joined.count += 1;
        }
        joined
    }
}

/// As many as the attribute and the derive accept together.
const MOST: usize = 16;

/// The labels of a call.
pub(crate) struct Joined<'a> {
    choices: [Choice<'a>; MOST],
    count: usize,
}

impl<'a> Joined<'a> {
    pub(crate) fn choices(&self) -> &[Choice<'a>] {
        self.choices.get(..self.count).unwrap_or_default()
    }
}

/// A service in a call.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    pub(crate) info: &'static Info,
    /// `None`: a function without a receiver.
    pub(crate) this: Option<&'a dyn Shared>,
}

impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

impl Held<'_> {
    /// The span attributes; those up to a `Display` that panics.
    pub(crate) fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = Attributes(Vec::new());
        if let Some(this) = self.this {
            let _ = catch_unwind(AssertUnwindSafe(|| this.attributes(&mut attributes)));
        }
        attributes.0
    }
}

/// What a service gives, kept for a future or a stream that does not hold it.
#[derive(Debug)]
pub struct Kept {
    info: &'static Info,
    shared: Option<KeptShared>,
}

#[derive(Debug)]
struct KeptShared {
    attributes: Vec<KeyValue>,
    labels: Vec<Chosen>,
}

impl Held<'_> {
    /// What it gives now; the attributes only where there may be a span.
    pub(crate) fn kept(&self, attributes: bool) -> Kept {
        let shared = self.this.map(|this| {
            let mut labels = Vec::new();
            this.labels(&mut |own| labels = own.iter().map(Choice::kept).collect());
            let attributes = if attributes { self.attributes() } else { Vec::new() };
            KeptShared { attributes, labels }
        });
        Kept { info: self.info, shared }
    }
}

impl Kept {
    pub(crate) fn held(&self) -> Held<'_> {
        Held { info: self.info, this: self.shared.as_ref().map(|shared| shared as &dyn Shared) }
    }
}

impl Shared for KeptShared {
    fn attributes(&self, to: &mut Attributes) {
        to.0.extend(self.attributes.iter().cloned());
    }

    fn labels(&self, to: &mut dyn FnMut(&[Choice<'_>])) {
        let labels: Vec<Choice<'_>> = self.labels.iter().map(Chosen::choice).collect();
        to(&labels);
    }
}

/// The receiver of a method. The generated code writes `(&&Of::<Self>(&self)).__redspan_shared()` with the
/// traits in scope.
#[derive(Debug)]
pub struct Of<'a, T: ?Sized>(pub &'a T);

/// The type of an associated function.
#[derive(Debug)]
pub struct Named<T: ?Sized>(PhantomData<fn() -> *const T>);

impl<T: ?Sized> Named<T> {
    /// The only value.
    pub const NEW: Self = Named(PhantomData);
}

/// A type that is a service.
pub trait ViaService<'a> {
    /// What it gives.
    fn __redspan_shared(&self) -> Option<Held<'a>>;
}

impl<'a, T: Service> ViaService<'a> for &Of<'a, T> {
    #[inline]
    fn __redspan_shared(&self) -> Option<Held<'a>> {
        Some(Held { info: T::INFO, this: Some(self.0) })
    }
}

impl<T: Service> ViaService<'static> for &Named<T> {
    #[inline]
    fn __redspan_shared(&self) -> Option<Held<'static>> {
        Some(Held { info: T::INFO, this: None })
    }
}

/// Any other type.
pub trait ViaNobody<'a> {
    /// Nothing.
    fn __redspan_shared(&self) -> Option<Held<'a>>;
}

impl<'a, T: ?Sized> ViaNobody<'a> for Of<'a, T> {
    #[inline]
    fn __redspan_shared(&self) -> Option<Held<'a>> {
        None
    }
}

impl<T: ?Sized> ViaNobody<'static> for Named<T> {
    #[inline]
    fn __redspan_shared(&self) -> Option<Held<'static>> {
        None
    }
}

/// The span attributes of a service.
#[derive(Debug)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Adds one, if there is a value.
    pub fn push(&mut self, name: &'static str, value: impl AttributeValue) {
        if let Some(value) = value.shown() {
            self.0.push(KeyValue::new(name, value));
        }
    }
}

/// A field of a service that is to be an attribute. The derive writes
/// `(&&&&Field(&field)).__redspan_value()` with the traits in scope.
#[derive(Debug)]
pub struct Field<'a, T: ?Sized>(pub &'a T);

/// A field's value as an attribute.
#[diagnostic::on_unimplemented(
    message = "this field cannot be an attribute: {Self}",
    label = "not a number, a boolean or a text, no `Label`, and without `Display`",
    note = "write `#[derive(redspan::Label)]` on the enum, or implement `Display`"
)]
pub trait AttributeValue {
    /// `None`: there is nothing to record.
    fn shown(self) -> Option<Value>;
}

impl AttributeValue for Option<Value> {
    fn shown(self) -> Option<Value> {
        self
    }
}

/// A type that can be no attribute.
#[derive(Debug)]
pub struct NoAttribute<'a, T: ?Sized>(pub &'a T);

/// A number, a boolean or a text.
pub trait Plain {
    /// The value itself.
    fn plain(&self) -> Option<Value>;
}

macro_rules! plain {
    ($($type:ty: $value:ident => $shown:expr),* $(,)?) => {$(
        impl Plain for $type {
            fn plain(&self) -> Option<Value> {
                let $value = self;
                Some($shown.into())
            }
        }
    )*};
}

plain! {
    bool: value => *value,
    i8: value => i64::from(*value),
    i16: value => i64::from(*value),
    i32: value => i64::from(*value),
    i64: value => *value,
    isize: value => whole(*value),
    u8: value => i64::from(*value),
    u16: value => i64::from(*value),
    u32: value => i64::from(*value),
    u64: value => whole(*value),
    usize: value => whole(*value),
    i128: value => whole(*value),
    u128: value => whole(*value),
    f32: value => f64::from(*value),
    f64: value => *value,
    str: value => value.to_owned(),
    String: value => value.clone(),
}

/// OpenTelemetry has no unsigned numbers; one that does not fit stays readable.
fn whole<T: TryInto<i64> + Copy + fmt::Display>(number: T) -> Value {
    number.try_into().map_or_else(|_| number.to_string().into(), Value::from)
}

impl<T: Plain + ?Sized> Plain for &T {
    fn plain(&self) -> Option<Value> {
        T::plain(self)
    }
}

impl<T: Plain + ?Sized> Plain for Box<T> {
    fn plain(&self) -> Option<Value> {
        T::plain(self)
    }
}

impl<T: Plain + ?Sized> Plain for Arc<T> {
    fn plain(&self) -> Option<Value> {
        T::plain(self)
    }
}

impl<T: Plain + ToOwned + ?Sized> Plain for Cow<'_, T> {
    fn plain(&self) -> Option<Value> {
        T::plain(self)
    }
}

impl<T: Plain> Plain for Option<T> {
    fn plain(&self) -> Option<Value> {
        self.as_ref()?.plain()
    }
}

/// A field that is a number, a boolean or a text.
pub trait ViaPlain {
    /// Its value.
    fn __redspan_value(&self) -> Option<Value>;
}

impl<T: Plain + ?Sized> ViaPlain for &&&Field<'_, T> {
    fn __redspan_value(&self) -> Option<Value> {
        self.0.plain()
    }
}

/// A field of a closed set.
pub trait ViaLabel {
    /// Its value.
    fn __redspan_value(&self) -> Option<Value>;
}

impl<T: Label> ViaLabel for &&Field<'_, T> {
    fn __redspan_value(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

/// A field that can be shown.
pub trait ViaDisplay {
    /// Its value.
    fn __redspan_value(&self) -> Option<Value>;
}

impl<T: fmt::Display + ?Sized> ViaDisplay for &Field<'_, T> {
    fn __redspan_value(&self) -> Option<Value> {
        Some(self.0.to_string().into())
    }
}

/// Any other field: refused where it is used.
pub trait ViaNothing<'a, T: ?Sized> {
    /// What is no attribute.
    fn __redspan_value(&self) -> NoAttribute<'a, T>;
}

impl<'a, T: ?Sized> ViaNothing<'a, T> for Field<'a, T> {
    fn __redspan_value(&self) -> NoAttribute<'a, T> {
        NoAttribute(self.0)
    }
}
