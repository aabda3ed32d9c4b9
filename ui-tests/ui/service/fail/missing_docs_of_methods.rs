//! What the compiler says of a function in a block is said at that function.
#![deny(missing_docs)]

/// Payments.
pub struct Payments;

#[redspan::instrumented]
impl Payments {
    pub async fn charge(&self, cents: u64) -> Result<u64, String> {
        Ok(cents)
    }

    pub async fn refund(&self) {}

    pub async fn list<T>(&self) -> Vec<T>
    where
        T: Default,
    {
        Vec::new()
    }

    pub fn count(&self) -> usize {
        0
    }
}

fn main() {}
