#![deny(warnings)]

use redspan::instrumented;

use redspan::Label;
use std::future::Future as _;

#[derive(Clone, Copy, Label)]
enum Tier {
    Free,
    Paid,
}

struct Order(Tier, String);

#[instrumented(labels(tier = order.0, vip, region = "eu", zone = const { ZONE }, of = capped(&order.1, 5)))]
fn ship(order: &Order, vip: bool) -> u8 {
    order.1.len() as u8
}

const ZONE: &str = "a";

#[instrumented(labels(first, second = *other), fields(first = first.as_str()))]
async fn taken_apart((first, other): (Tier, bool), _: u8) -> &'static str {
    let _ = other;
    first.as_str()
}

fn main() {
    assert_eq!(ship(&Order(Tier::Free, "ab".to_owned()), true), 2);
    let future = std::pin::pin!(taken_apart((Tier::Paid, true), 1));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(future.poll(&mut context), std::task::Poll::Ready("paid"));
}
