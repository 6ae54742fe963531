//! The readers of each thread.
//!
//! A reader remembers where the table is that it found last, which makes it faster, and belongs to
//! one thread. So each thread has its own, found by the number of the map. It lives as long as the
//! thread, or until the thread looks for one that it has not: then those are given back whose
//! [`Attached`](super::Attached) is gone or reads another map.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::shared::Shared;
use crate::map::{Reader, View};

/// Most readers that a thread keeps beside the last. Who reads more maps in turn makes them again and
/// again.
const KEPT: usize = 8;

struct Kept {
    number: u64,
    reader: Reader<View>,
    /// Who reads this map.
    of: Weak<Shared>,
}

/// The reader that was made last, which most threads have alone, can be found without a look
/// into other memory.
struct Readers {
    last: Option<Kept>,
    others: Vec<Kept>,
}

thread_local! {
    static READERS: RefCell<Readers> = const {
        RefCell::new(Readers {
            last: None,
            others: Vec::new(),
        })
    };
}

/// Reads with this thread's reader of the map with this number; `None` if that is not the map any
/// more.
pub(super) fn with<T>(
    shared: &Arc<Shared>,
    number: u64,
    mut read: impl FnMut(&Reader<View>) -> T,
) -> Option<T> {
    match with_kept(number, &mut read) {
        Some(result) => Some(result),
        None => with_new(shared, number, &mut read),
    }
}

/// The same, if it has one.
#[inline(always)]
pub(super) fn with_kept<T>(number: u64, read: impl FnOnce(&Reader<View>) -> T) -> Option<T> {
    let kept = READERS.try_with(|readers| {
        let readers = readers.try_borrow().ok()?;
        let kept = match &readers.last {
            Some(last) if last.number == number => last,
            _ => readers.other(number)?,
        };
        Some(read(&kept.reader))
    });
    kept.ok().flatten()
}

#[cold]
fn with_new<T>(
    shared: &Arc<Shared>,
    number: u64,
    read: &mut impl FnMut(&Reader<View>) -> T,
) -> Option<T> {
    let map = shared.map().filter(|map| map.number == number)?;
    let reader = Reader::new(map.view);
    let result = read(&reader);
    let of = Arc::downgrade(shared);
    let kept = Kept { number, reader, of };
    // If this thread is ending, or is reading already, what was made is for this time only.
    let _ = READERS.try_with(|readers| {
        if let Ok(mut readers) = readers.try_borrow_mut() {
            readers.keep(kept);
        }
    });
    Some(result)
}

impl Readers {
    #[cold]
    fn other(&self, number: u64) -> Option<&Kept> {
        self.others.iter().find(|kept| kept.number == number)
    }

    fn keep(&mut self, kept: Kept) {
        self.others.extend(self.last.replace(kept));
        self.others.retain(|kept| {
            let current = kept.of.upgrade().map(|of| of.current());
            current == Some(kept.number)
        });
        if self.others.len() == KEPT {
            self.others.remove(0);
        }
    }
}
