//! Every form of `self`.
#![deny(warnings)]

use redspan::instrumented;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Clone, Default)]
struct S {
    n: usize,
    s: String,
}

impl S {
    #[instrumented(fields(n = self.n))]
    fn value(self) -> usize {
        self.n
    }
    #[instrumented]
    fn mut_value(mut self) -> String {
        self.s.push('a');
        self.s
    }
    #[instrumented(fields(self.n, %self.s))]
    fn shared(&self) -> &str {
        &self.s
    }
    #[instrumented]
    fn named<'a>(&'a self, _other: &str) -> &'a str {
        &self.s
    }
    #[instrumented]
    fn exclusive(&mut self) -> &mut usize {
        &mut self.n
    }
    #[instrumented(fields(self.n))]
    fn in_box(self: Box<Self>) -> String {
        self.s
    }
    #[instrumented]
    fn in_arc(self: Arc<Self>) -> usize {
        self.n
    }
    #[instrumented]
    fn in_rc(self: &Rc<Self>) -> usize {
        self.n
    }
    #[instrumented]
    fn pinned(self: Pin<&mut Self>) -> &mut usize {
        &mut self.get_mut().n
    }
    #[instrumented]
    fn mut_pinned(mut self: Pin<&mut Self>) -> usize {
        self.n += 1;
        self.as_mut().pinned();
        self.n
    }
    #[instrumented(fields(n = self.n))]
    async fn value_async(self, _x: u8) -> String {
        self.s
    }
    #[instrumented]
    async fn mut_value_async(mut self) -> String {
        self.s.push('a');
        self.s
    }
    #[instrumented(fields(self.n))]
    async fn exclusive_async(&mut self) -> &mut usize {
        self.n += 1;
        &mut self.n
    }
    #[instrumented]
    async fn pinned_async(self: Pin<&mut Self>) -> usize {
        self.n
    }
    #[instrumented]
    async fn boxed_async(self: Box<Self>) -> String {
        self.s
    }
    #[instrumented]
    fn constructor(n: usize) -> Self {
        Self { n, ..Self::default() }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut s = S::constructor(1);
    *s.exclusive() += 1;
    assert_eq!(*s.exclusive_async().await, 3);
    assert_eq!(Pin::new(&mut s).mut_pinned(), 4);
    assert_eq!(Pin::new(&mut s).pinned_async().await, 4);
    assert_eq!(s.shared(), s.named(""));
    assert_eq!(Arc::new(s.clone()).in_arc(), Rc::new(s.clone()).in_rc());
    assert_eq!(Box::new(s.clone()).in_box(), Box::new(s.clone()).boxed_async().await);
    assert_eq!(s.clone().mut_value(), s.clone().mut_value_async().await);
    assert_eq!(s.clone().value_async(1).await, "");
    assert_eq!(s.value(), 4);
}
