//! A permit that is passed and never used is held until the call ends, not until it begins.
#![deny(warnings)]

use redspan::instrumented;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[instrumented]
async fn held(_permit: OwnedSemaphorePermit, semaphore: &Semaphore) -> usize {
    tokio::task::yield_now().await;
    semaphore.available_permits()
}

#[instrumented]
async fn wild(_: OwnedSemaphorePermit, semaphore: &Semaphore) -> usize {
    tokio::task::yield_now().await;
    semaphore.available_permits()
}

#[instrumented]
fn sync(_: OwnedSemaphorePermit, semaphore: &Semaphore) -> usize {
    semaphore.available_permits()
}

#[instrumented]
async fn guard(_: std::sync::MutexGuard<'_, u8>, _value: &mut u8) {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tokio::sync::AcquireError> {
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = || semaphore.clone().acquire_owned();
    assert_eq!(held(permit().await?, &semaphore).await, 0);
    assert_eq!(wild(permit().await?, &semaphore).await, 0);
    assert_eq!(sync(permit().await?, &semaphore), 0);
    assert_eq!(semaphore.available_permits(), 1);
    let mutex = std::sync::Mutex::new(1);
    if let Ok(locked) = mutex.lock() {
        guard(locked, &mut 1).await;
    }
    Ok(())
}
