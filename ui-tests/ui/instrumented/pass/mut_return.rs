//! Borrows go in and come out: reborrows of `&mut` arguments, guards in the tail, moved captures.
#![deny(warnings)]

use redspan::instrumented;
use std::collections::HashMap;
use std::sync::Mutex;

struct Cache {
    map: HashMap<u8, String>,
    lock: Mutex<u8>,
}

impl Cache {
    #[instrumented]
    fn entry(&mut self, key: u8) -> &mut String {
        self.map.entry(key).or_default()
    }
    #[instrumented]
    async fn entry_async(&mut self, key: u8) -> &mut String {
        self.map.entry(key).or_default()
    }
    #[instrumented]
    fn find(&mut self, key: u8) -> Option<&mut String> {
        if let Some(found) = self.map.get_mut(&key) {
            found.push('a');
        }
        self.map.get_mut(&key)
    }
    #[instrumented]
    fn tail_guard(&self) -> u8 {
        *self.lock.lock().unwrap()
    }
    #[instrumented]
    async fn tail_guard_async(&self) -> u8 {
        *self.lock.lock().unwrap()
    }
    #[instrumented]
    fn both<'a, 'b>(&'a mut self, other: &'b mut String) -> (&'a mut String, &'b mut String) {
        (self.map.entry(1).or_default(), other)
    }
}

#[instrumented]
fn owned_guard(lock: Mutex<u8>) -> u8 {
    match lock.lock() {
        Ok(guard) => *guard,
        Err(_) => 0,
    }
}

#[instrumented]
async fn local_guard_async(lock: Mutex<u8>) -> u8 {
    match lock.lock() {
        Ok(guard) => *guard,
        Err(_) => 0,
    }
}

#[instrumented]
fn split(list: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    list.split_at_mut(1)
}

#[instrumented]
fn take(slot: &mut Option<Box<u8>>, mut by: Box<u8>) -> Box<u8> {
    *by += 1;
    slot.replace(by).unwrap_or_default()
}

#[instrumented]
async fn take_async<'a>(slot: &'a mut Vec<u8>, more: Vec<u8>) -> impl Iterator<Item = &'a u8> {
    slot.extend(more);
    slot.iter()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut cache = Cache { map: HashMap::new(), lock: Mutex::new(3) };
    cache.entry(1).push('a');
    cache.entry_async(1).await.push('b');
    assert_eq!(cache.find(1).map(|found| found.clone()).as_deref(), Some("aba"));
    assert_eq!(cache.tail_guard() + cache.tail_guard_async().await, 6);
    let mut other = String::new();
    let (a, b) = cache.both(&mut other);
    std::mem::swap(a, b);
    assert_eq!(owned_guard(Mutex::new(1)) + local_guard_async(Mutex::new(1)).await, 2);
    assert_eq!(split(&mut [1, 2]).1, [2]);
    assert_eq!(*take(&mut None, Box::new(1)), 0);
    assert_eq!(take_async(&mut vec![1], vec![2]).await.count(), 2);
}
