//! Methods of traits: default bodies and implementations, sync and async, and function qualifiers.
#![deny(warnings)]

use redspan::instrumented;
use std::future::Future;

trait Store<K> {
    type Value;
    fn get(&self, key: K) -> Option<&Self::Value>;

    #[instrumented(name = "store.len")]
    fn len(&self) -> usize {
        0
    }
    #[instrumented]
    fn boxed(self: Box<Self>) -> usize
    where
        Self: Sized,
    {
        self.len()
    }
}

trait AsyncStore {
    fn fetch(&self, key: u8) -> impl Future<Output = u8> + Send;
}

struct Memory(Vec<u8>);

impl Store<usize> for Memory {
    type Value = u8;
    #[instrumented(fields(key))]
    fn get(&self, key: usize) -> Option<&Self::Value> {
        self.0.get(key)
    }
}

impl AsyncStore for Memory {
    #[instrumented(fields(key))]
    async fn fetch(&self, key: u8) -> u8 {
        self.0[usize::from(key)]
    }
}

impl Drop for Memory {
    #[instrumented]
    fn drop(&mut self) {
        self.0.clear();
    }
}

#[instrumented]
extern "C" fn callback(a: i32) -> i32 {
    a + 1
}

#[instrumented]
unsafe fn read(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

#[instrumented]
async unsafe fn read_async(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

#[instrumented]
fn generic<'a, T, const N: usize>(items: &'a [T; N], _: T) -> &'a T
where
    T: PartialOrd,
{
    const { assert!(N > 0) };
    &items[N - 1]
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let memory = Memory(vec![7]);
    assert_eq!(memory.get(0), Some(&7));
    assert_eq!(assert_send(memory.fetch(0)).await, 7);
    assert_eq!(Box::new(memory).boxed(), 0);
    let function: extern "C" fn(i32) -> i32 = callback;
    assert_eq!(function(1), 2);
    let byte = 3;
    assert_eq!(unsafe { read(&byte) }, 3);
    assert_eq!(unsafe { read_async(&byte) }.await, 3);
    assert_eq!(*generic(&[1, 2], 3), 2);
}
