//! What another macro was told of the crate is of no matter to this one.
#![deny(warnings)]

use redspan::compat::instrument;

mod told {
    mod framework {
        pub(super) use redspan as spans;
    }

    #[redspan::instrumented(crate = framework::spans)]
    pub(super) fn elsewhere(id: u8) -> u8 {
        id
    }
}

#[instrument(err, level = "debug", fields(later))]
fn migrated(id: u8) -> Result<u8, String> {
    Ok(id)
}

fn main() {
    assert_eq!(migrated(told::elsewhere(3)), Ok(3));
}
