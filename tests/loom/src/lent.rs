//! A call's span, which others may have too.

#[path = "../../../runtime/src/span/lent/whole.rs"]
mod whole;

mod sync {
    pub(super) use loom::sync::Arc;

    /// Loom's counter acquires by itself: the fence that the standard library's needs is not tested here.
    pub(super) fn holders<T>(of: &mut Arc<T>) -> usize {
        Arc::strong_count(of)
    }
}

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;
use whole::Whole;

/// What is written behind the lock, and without it where the piece is whole.
struct Piece {
    lock: Mutex<()>,
    written: UnsafeCell<u32>,
}

// SAFETY: behind the lock, or by the only holder; loom says if not.
unsafe impl Sync for Piece {}

fn write(piece: &Piece) {
    let _alone = piece.lock.lock().unwrap();
    // SAFETY: the lock is held.
    piece.written.with_mut(|written| unsafe { *written += 1 });
}

#[test]
fn a_piece_is_whole_only_when_who_else_had_it_has_written_for_the_last_time() {
    loom::model(|| {
        let piece = Piece { lock: Mutex::new(()), written: UnsafeCell::new(0) };
        let (call, lent) = Whole::new(piece).parted();
        let third = Arc::clone(&lent);
        let other = thread::spawn(move || {
            write(&third);
            // It may lend once more.
            let fourth = Arc::clone(&third);
            drop(third);
            write(&fourth);
        });
        match Whole::of(call, lent) {
            // SAFETY: the piece is whole; loom says if not.
            Ok(mut whole) => whole.get().written.with_mut(|written| unsafe {
                assert_eq!(*written, 2);
                *written += 1;
            }),
            Err(call) => write(&call),
        }
        other.join().unwrap();
    });
}
