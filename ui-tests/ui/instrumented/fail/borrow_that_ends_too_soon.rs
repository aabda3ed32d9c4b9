use redspan::instrumented;
use std::future::Future;

#[instrumented]
fn sync<'a>(text: &'a str, other: &str) -> &'a str {
    if text.is_empty() { other } else { text }
}

#[instrumented]
async fn later<'a>(text: &'a str, other: &str) -> &'a str {
    if text.is_empty() { other } else { text }
}

#[instrumented]
#[must_use]
async fn below_an_attribute<'a>(text: &'a str, other: &str) -> &'a str {
    if text.is_empty() { other } else { text }
}

#[instrumented]
fn ends_in_a_future<'a>(text: &'a str, other: &'a str) -> impl Future<Output = &'static str> + use<'a> {
    async move { if text.is_empty() { other } else { text } }
}

struct Texts(String);

#[instrumented]
impl Texts {
    async fn of_a_block<'a>(&self, text: &'a str) -> &'a str {
        if text.is_empty() { &self.0 } else { text }
    }
}

fn main() {}
