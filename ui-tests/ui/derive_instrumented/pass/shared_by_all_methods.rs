#![deny(warnings)]

use redspan::{Label, instrumented};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
}

#[derive(Clone)]
struct Version(u8, u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[derive(Clone, redspan::Instrumented)]
#[instrumented(name = "payments")]
struct Payments {
    #[instrumented(attribute = "cloud.region", label)]
    region: Region,
    #[instrumented(attribute)]
    shard: u64,
    #[instrumented(attribute)]
    version: Version,
    #[instrumented(attribute)]
    tenant: Option<Arc<str>>,
    #[instrumented(label = "open")]
    is_open: bool,
}

#[instrumented]
impl Payments {
    fn new(region: Region) -> Self {
        Payments { region, shard: 3, version: Version(1, 2), tenant: None, is_open: true }
    }

    fn by_ref(&self) -> u64 {
        self.shard
    }

    fn by_mut(&mut self) {
        self.shard += 1;
    }

    async fn later(self) -> u64 {
        self.shard
    }

    fn boxed(self: Box<Self>) -> u64 {
        self.shard
    }

    fn arc(self: Arc<Self>) -> u64 {
        self.shard
    }

    fn rc(self: &Rc<Self>) -> u64 {
        self.shard
    }

    fn pinned(self: Pin<&mut Self>) -> u64 {
        self.shard
    }

    #[instrumented(labels(region = Region::Us), fields(shard = 9))]
    fn own(&self) {}
}

fn spawn<F: std::future::Future + Send>(future: F) -> F {
    future
}

#[tokio::main]
async fn main() {
    let mut payments = Payments::new(Region::Eu);
    payments.by_mut();
    assert_eq!(payments.by_ref(), 4);
    assert_eq!(Box::new(payments.clone()).boxed(), 4);
    assert_eq!(Arc::new(payments.clone()).arc(), 4);
    assert_eq!(Rc::new(payments.clone()).rc(), 4);
    assert_eq!(Pin::new(&mut payments).pinned(), 4);
    payments.own();
    assert_eq!(spawn(payments.later()).await, 4);
    for site in redspan::catalog() {
        let labels: Vec<_> = site.label_names().collect();
        assert_eq!(site.component(), Some("payments"), "{}", site.function());
        match site.function() {
            // No receiver, but the component.
            "Payments::new" => assert!(labels.is_empty()),
            _ => assert_eq!(labels, ["region", "open"], "{}", site.function()),
        }
    }
}
