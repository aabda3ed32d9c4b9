use redspan::compat::instrument;
use redspan::instrumented as traced;

#[traced]
#[traced(name = "checkout")]
fn charge() {}

#[traced]
#[instrument]
fn refund() {}

#[instrument]
#[traced]
async fn pay() {}

fn main() {
    charge();
    refund();
    drop(pay());
}
