use redspan::compat::instrument;

#[instrument(level = 9, fields(order.id = , + = 2, card = ), ret(level = "loud"))]
fn checkout() {}

fn main() {
    checkout();
}
