use redspan::compat::instrument;

#[instrument(skip(pool))]
fn checkout(pol: u8) {
    let _ = pol;
}

fn main() {
    checkout(1);
}
