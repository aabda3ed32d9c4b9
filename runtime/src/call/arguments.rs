//! Calls a body with its arguments.
//!
//! The closure's parameters are the function's: they live, drop and borrow exactly as they would
//! there. Their types need not be written, because the arguments come first.

use super::classify::Verdict;
use super::guard::Call;
use std::marker::PhantomData;

macro_rules! call {
    ($($name:ident($($type:ident $argument:ident),*)),* $(,)?) => {$(
        #[doc(hidden)]
        #[inline]
        #[allow(clippy::too_many_arguments)]
        pub fn $name<R, $($type),*>($($argument: $type,)* body: impl FnOnce($($type),*) -> R) -> R {
            body($($argument),*)
        }
    )*};
}

call! {
    call0(),
    call1(A a),
    call2(A a, B b),
    call3(A a, B b, C c),
    call4(A a, B b, C c, D d),
    call5(A a, B b, C c, D d, E e),
    call6(A a, B b, C c, D d, E e, F f),
    call7(A a, B b, C c, D d, E e, F f, G g),
    call8(A a, B b, C c, D d, E e, F f, G g, H h),
    call9(A a, B b, C c, D d, E e, F f, G g, H h, I i),
    call10(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j),
    call11(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k),
    call12(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l),
    call13(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l, M m),
    call14(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l, M m, N n),
    call15(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l, M m, N n, O o),
    call16(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l, M m, N n, O o, P p),
}

/// What the code around a block expects of it. It comes before the block: so the compiler knows the type before
/// it looks for who judges a value of that type.
#[derive(Debug)]
pub struct Expected<R>(PhantomData<fn() -> R>);

impl<R> Expected<R> {
    /// Of whatever type.
    pub const HERE: Self = Expected(PhantomData);
}

/// Runs `work` within the call, which ends as its value says.
#[inline]
pub fn measured<R>(
    mut call: Call,
    _: Expected<R>,
    work: impl FnOnce() -> R,
    judge: impl FnOnce(&R) -> Verdict<'_>,
) -> R {
    let out = work();
    call.finish(judge(&out));
    out
}
