use redspan::compat::instrument;

struct Refused;

#[instrument(err)]
fn checkout() -> Result<(), Refused> {
    Err(Refused)
}

fn main() {
    let _ = checkout();
}
