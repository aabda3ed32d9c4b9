//! Other attributes stay on the function, in place and order.
#![deny(warnings)]

use redspan::instrumented;

#[instrumented(name = "main")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::task::yield_now().await;
    assert_eq!(documented(1), 1);
    Ok(inner_attributes()?)
}

/// Documented.
#[instrumented]
#[must_use]
#[inline]
#[doc(alias = "other")]
#[allow(clippy::needless_return)]
#[cfg(all())]
fn documented(#[allow(unused_variables)] unused: u8) -> u8 {
    return 1;
}

#[instrumented]
fn inner_attributes() -> Result<(), std::fmt::Error> {
    //! Documented inside.
    #![allow(unused_variables)]
    let unused = 1;
    Ok(())
}

#[instrumented]
#[test]
fn test_below() {}

#[test]
#[instrumented]
fn test_above() {}

#[cfg(test)]
#[instrumented]
#[tokio::test]
async fn tokio_test_below() {}
