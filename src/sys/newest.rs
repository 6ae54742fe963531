//! Something that another takes the place of now and then, while threads use it.
//!
//! To look at the newest is one load, with no count and no lock, also in a process that is forked
//! while another one takes its place. The price: all of them are kept to the end.
#![allow(
    unsafe_code,
    reason = "a reference that outlives a change, without a count of those who have it"
)]

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// The newest of some things, or none.
#[derive(Debug)]
pub(crate) struct Newest<T> {
    newest: AtomicPtr<Kept<T>>,
    /// The one that was kept last, from which all others are reached.
    kept: AtomicPtr<Kept<T>>,
    _owned: std::marker::PhantomData<Kept<T>>,
}

/// What is kept stands first, so that its address is that of this.
#[derive(Debug)]
#[repr(C)]
struct Kept<T> {
    it: T,
    before: *mut Kept<T>,
}

// SAFETY: threads have references to what they share, and whoever drops it drops things that others
// have made.
unsafe impl<T: Send + Sync> Send for Newest<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Newest<T> {}

impl<T> Newest<T> {
    pub(crate) fn new(it: Option<T>) -> Newest<T> {
        let new = Newest {
            newest: AtomicPtr::new(ptr::null_mut()),
            kept: AtomicPtr::new(ptr::null_mut()),
            _owned: std::marker::PhantomData,
        };
        new.replace(it);
        new
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: what is stored there is not changed, and not freed while `self` lives.
        unsafe { self.newest.load(Acquire).as_ref() }.map(|kept| &kept.it)
    }

    /// Puts another one in its place, or none.
    pub(crate) fn replace(&self, it: Option<T>) {
        let new = it.map_or(ptr::null_mut(), |it| self.keep(it));
        // Acquired as well, so that who makes room in one that is replaced has seen it whole.
        self.newest.swap(new, AcqRel);
    }

    fn keep(&self, it: T) -> *mut Kept<T> {
        let mut before = self.kept.load(Relaxed);
        let new = Box::into_raw(Box::new(Kept { it, before }));
        loop {
            // SAFETY: nobody else has seen it yet.
            unsafe { (*new).before = before };
            match self.kept.compare_exchange(before, new, AcqRel, Relaxed) {
                Ok(_) => return new,
                Err(other) => before = other,
            }
        }
    }
}

impl<T> Drop for Newest<T> {
    fn drop(&mut self) {
        let mut last = *self.kept.get_mut();
        while !last.is_null() {
            // SAFETY: it came from a box, once, and nobody has a reference any more.
            let kept = unsafe { Box::from_raw(last) };
            last = kept.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how many of it there are.
    struct Counted(usize, Arc<AtomicUsize>);

    impl Counted {
        fn new(number: usize, count: &Arc<AtomicUsize>) -> Counted {
            count.fetch_add(1, Ordering::Relaxed);
            Counted(number, count.clone())
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn all_are_kept_to_the_end() {
        let count = Arc::default();
        let newest = Newest::new(Some(Counted::new(1, &count)));
        let first = newest.get().unwrap();
        newest.replace(Some(Counted::new(2, &count)));
        newest.replace(None);
        assert!(newest.get().is_none());
        newest.replace(Some(Counted::new(3, &count)));
        assert_eq!((first.0, newest.get().unwrap().0), (1, 3));
        assert_eq!(count.load(Ordering::Relaxed), 3);
        drop(newest);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_can_replace_it_at_the_same_time() {
        let count = Arc::default();
        let newest = Newest::new(None);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (newest, count) = (&newest, &count);
                scope.spawn(move || {
                    for n in 0..100 {
                        newest.replace(Some(Counted::new(4 * n + thread, count)));
                        assert!(newest.get().unwrap().0 < 400);
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 400);
        drop(newest);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
