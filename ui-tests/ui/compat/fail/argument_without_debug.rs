use redspan::compat::instrument;

struct Pool;

#[instrument]
fn checkout(pool: Pool) {
    let _ = pool;
}

fn main() {
    checkout(Pool);
}
