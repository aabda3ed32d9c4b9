#![deny(warnings)]

use redspan::instrumented;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

struct Ring<const N: usize>([u8; N]);

#[derive(Clone)]
struct Service {
    name: String,
}

fn boxed<'a>(service: &'a Service) -> Pin<Box<dyn Fn(u8) -> String + 'a>> {
    Box::pin(move |times| service.name.repeat(times.into()))
}

#[instrumented]
impl Service {
    fn arc(self: Arc<Self>) -> usize {
        self.name.len()
    }

    fn rc(self: &Rc<Self>) -> usize {
        self.name.len()
    }

    fn pinned(self: Pin<&mut Self>) -> usize {
        self.name.len()
    }

    // Braces in a signature end nothing.
    fn braces(&self) -> Ring<{ 1 + 2 }> {
        Ring([1; { 1 + 2 }])
    }

    fn arrows(&self, apply: impl Fn(u8) -> Vec<u8>) -> Box<dyn Fn(u8) -> String + '_> {
        let before = apply(1).len();
        Box::new(move |times: u8| boxed(self)(times + before as u8))
    }

    unsafe fn dangerous(&self) -> usize {
        self.name.len()
    }

    extern "C" fn foreign(value: u8) -> u8 {
        value
    }

    async fn by_value(self, other: &str) -> String {
        self.name + other
    }

    fn visible<'a, T>(&'a self, other: &'a T) -> &'a str
    where
        T: AsRef<str> + ?Sized,
    {
        if other.as_ref().is_empty() { &self.name } else { other.as_ref() }
    }
}

#[tokio::main]
async fn main() {
    let mut service = Service { name: String::from("a") };
    assert_eq!(Arc::new(service.clone()).arc(), 1);
    assert_eq!(Rc::new(service.clone()).rc(), 1);
    assert_eq!(Pin::new(&mut service).pinned(), 1);
    assert_eq!(service.braces().0.len(), 3);
    assert_eq!(service.arrows(|value| vec![value])(1), "aa");
    assert_eq!(unsafe { service.dangerous() }, 1);
    assert_eq!(Service::foreign(2), 2);
    assert_eq!(service.visible(""), "a");
    assert_eq!(service.by_value("b").await, "ab");
    assert_eq!(redspan::catalog().count(), 9);
}
