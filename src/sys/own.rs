//! What each process has of its own, of those that were forked from one another.
//!
//! A child has copies of its parent's connections, which would take the parent's answers, and of locks
//! that are held by threads which it does not have. So it uses none of them: what both cannot have is
//! an [`Own`], of which a child finds that there is nothing yet.
//!
//! Which process it is, a page says that the kernel empties in each child, however it was forked, and
//! in none that shares the memory. Process IDs do not tell: in a name space of its own a child
//! can have that of its parent. There is no lock in here, which a fork could leave locked in the child.
#![allow(
    unsafe_code,
    reason = "memory that the kernel empties, and references that outlive a change"
)]

use std::marker::PhantomData;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicPtr, AtomicU64};
use std::sync::{Mutex, TryLockError};
use std::{mem, ptr};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The least that can be mapped, in bytes; the kernel makes a whole page of it.
const PAGE: usize = size_of::<AtomicU64>();

/// A process, of those that were forked from one another. For programs that keep what a child must not
/// use together with its parent, such as a [`Client`](crate::Client) or a [`Watch`](crate::Watch).
///
/// No process has the same as one that it descends from: unlike with process IDs, which a child in a name
/// space of its own can have from its parent. Two children of one parent may have the same, and have nothing
/// of one another's. Mostly it is told by a load, without a system call.
///
/// ```
/// use globstash::Process;
///
/// let opened_by = Process::this();
/// assert_eq!(Process::this(), opened_by);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(u64);

/// What a process can have of its own.
pub(crate) trait Inherited {
    /// Whether nobody was in the midst of changing it at the fork, so that a child can drop its copy.
    fn is_whole(&self) -> bool;
}

impl<T> Inherited for Mutex<T> {
    fn is_whole(&self) -> bool {
        !matches!(self.try_lock(), Err(TryLockError::WouldBlock))
    }
}

/// What each process has of its own. What its ancestors have is kept to the end: a thread may be in
/// the middle of using it.
#[derive(Debug)]
pub(crate) struct Own<T: Inherited> {
    /// That of the process that has used this last; NULL before the first.
    last: AtomicPtr<Kept<T>>,
    _owned: PhantomData<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    process: Process,
    it: T,
    /// That of an ancestor.
    before: *mut Kept<T>,
}

// SAFETY: threads have references to what they share, and whoever drops it drops things that others
// have made.
unsafe impl<T: Inherited + Send + Sync> Send for Own<T> {}
// SAFETY: as above.
unsafe impl<T: Inherited + Send + Sync> Sync for Own<T> {}

impl<T: Inherited> Own<T> {
    pub(crate) const fn new() -> Own<T> {
        Own {
            last: AtomicPtr::new(ptr::null_mut()),
            _owned: PhantomData,
        }
    }

    /// What this process has. If that is nothing yet it is made, with a look at what its nearest
    /// ancestor has; perhaps in vain, because another thread makes it at the same time.
    pub(crate) fn get(&self, make: impl Fn(Option<&T>) -> T) -> &T {
        let process = Process::this();
        let mut before = self.last.load(Acquire);
        loop {
            // SAFETY: what was stored there is not freed while `self` lives.
            let parent = match unsafe { before.as_ref() } {
                Some(kept) if kept.process == process => return &kept.it,
                parent => parent.map(|kept| &kept.it),
            };
            let it = make(parent);
            let new = Box::into_raw(Box::new(Kept {
                process,
                it,
                before,
            }));
            match self.last.compare_exchange(before, new, AcqRel, Acquire) {
                // SAFETY: as above.
                Ok(_) => return unsafe { &(*new).it },
                Err(other) => {
                    // SAFETY: another thread was faster, and nobody has seen ours.
                    drop(unsafe { Box::from_raw(new) });
                    before = other;
                }
            }
        }
    }
}

impl<T: Inherited> Drop for Own<T> {
    /// What was half changed at the fork stays as it is, to the end of the process.
    fn drop(&mut self) {
        let mut last = *self.last.get_mut();
        while !last.is_null() {
            // SAFETY: it came from a box, once, and nobody of this process has a reference any more.
            let kept = unsafe { Box::from_raw(last) };
            last = kept.before;
            if !kept.it.is_whole() {
                mem::forget(kept);
            }
        }
    }
}

impl Process {
    /// This one.
    pub fn this() -> Process {
        /// The last number that was given, also by ancestors.
        static LAST: AtomicU64 = AtomicU64::new(0);

        let Some(number) = emptied_in_children() else {
            return Process(std::process::id().into());
        };
        let known = number.load(Acquire);
        if known != 0 {
            return Process(known);
        }
        let new = LAST.fetch_add(1, Relaxed) + 1;
        match number.compare_exchange(0, new, AcqRel, Acquire) {
            Ok(_) => Process(new),
            Err(other) => Process(other),
        }
    }
}

/// A number that is 0 at first, and again in each child. `None` if the system has no such thing:
/// Linux has it since 4.14, but not everything is Linux that says so.
fn emptied_in_children() -> Option<&'static AtomicU64> {
    /// NULL before it is made.
    static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    /// Stands in for what there cannot be.
    static NONE: AtomicU64 = AtomicU64::new(0);

    let known = NUMBER.load(Acquire);
    let number = match known.is_null() {
        false => known,
        true => {
            let new = make().unwrap_or((&raw const NONE).cast_mut());
            match NUMBER.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
                Ok(_) => new,
                Err(other) => {
                    if new.cast_const() != &raw const NONE {
                        // SAFETY: another thread was faster, and nobody has seen ours.
                        let _ = unsafe { munmap(new.cast(), PAGE) };
                    }
                    other
                }
            }
        }
    };
    // SAFETY: either stays to the end of the process, and is only used as an atomic number.
    let number = unsafe { &*number };
    (!ptr::eq(number, &raw const NONE)).then_some(number)
}

fn make() -> Option<*mut AtomicU64> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: new memory at a place that the kernel chooses overlaps no other.
    let page =
        unsafe { mmap_anonymous(ptr::null_mut(), PAGE, protection, MapFlags::PRIVATE) }.ok()?;
    // SAFETY: the range is the mapping that was just made.
    match unsafe { madvise(page, PAGE, Advice::LinuxWipeOnFork) } {
        Ok(()) => Some(page.cast()),
        Err(_) => {
            // SAFETY: nobody has seen it.
            let _ = unsafe { munmap(page, PAGE) };
            None
        }
    }
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    use super::*;

    /// What nobody ever changes.
    macro_rules! constant {
        ($($name:ty),+) => {
            $(impl Inherited for $name {
                fn is_whole(&self) -> bool {
                    true
                }
            })+
        };
    }
    constant!(i32, usize, Vec<i32>, std::sync::Arc<()>);

    /// Does something in a child, and returns whether it was right.
    fn is_so_in_child(act: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child uses nothing that another thread can hold, but for the allocator, which the
        // C library looks after.
        match unsafe { libc::fork() } {
            // SAFETY: ends this process, of which nothing is to be kept.
            0 => unsafe { libc::_exit(i32::from(!act())) },
            child => {
                let mut status = -1;
                // SAFETY: the status is written to a variable.
                let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
                ended == child && status == 0
            }
        }
    }

    #[test]
    fn each_process_has_its_own() {
        let own = Own::new();
        let all = |parents: &[i32]| {
            let of = |parent: Option<&Vec<i32>>| {
                assert_eq!(parent.map_or(&[][..], |parent| parent), parents);
                [parents, &[parents.len() as i32]].concat()
            };
            own.get(of).clone()
        };
        let again = || own.get(|_| panic!("it is there")).clone();
        let this = Process::this();
        assert_eq!(all(&[]), [0]);
        assert_eq!(again(), [0]);
        assert!(is_so_in_child(|| {
            let child = Process::this();
            let right = child != this && all(&[0]) == [0, 1] && again() == [0, 1];
            let grandchild = || Process::this() != child && all(&[0, 1]) == [0, 1, 2];
            right && is_so_in_child(grandchild) && again() == [0, 1]
        }));
        assert_eq!((Process::this(), again()), (this, vec![0]));
    }

    /// A process that was forked before its parent had anything.
    #[test]
    fn threads_and_children_can_begin_at_the_same_time() {
        let is_over = AtomicBool::new(false);
        let newest = AtomicUsize::new(0);
        let all: Vec<Own<usize>> = (0..100_000).map(|_| Own::new()).collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for (n, own) in all.iter().enumerate() {
                        newest.store(n, Relaxed);
                        assert_eq!(*own.get(|_| n), n);
                    }
                    is_over.store(true, Relaxed);
                });
            }
            while !is_over.load(Relaxed) {
                assert!(is_so_in_child(|| {
                    let last = newest.load(Relaxed);
                    let some = &all[last.saturating_sub(10)..all.len().min(last + 10)];
                    some.iter().all(|own| *own.get(|_| 7) == 7)
                }));
            }
        });
    }

    /// What shares the memory, as a child of `vfork` and `posix_spawn` does until it executes
    /// another program, is the same process: it must not put anything in the place of what its parent
    /// has.
    #[test]
    fn a_child_that_shares_the_memory_has_what_its_parent_has() {
        extern "C" fn child(own: *mut libc::c_void) -> libc::c_int {
            // SAFETY: the parent has it, and waits for our end.
            let own = unsafe { &*own.cast::<Own<i32>>() };
            i32::from(*own.get(|_| 2) != 1)
        }

        let own = Own::new();
        assert_eq!(*own.get(|_| 1), 1);
        let mut stack = vec![0_u128; 4096];
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let status = thread::scope(|scope| {
            let start = || {
                let mut status = -1;
                // SAFETY: it has a stack of its own, of which this is the end; what it is given
                // lives until it has ended, and so long this thread waits.
                unsafe {
                    let top = stack.as_mut_ptr_range().end.cast();
                    let own = (&raw const own).cast_mut().cast();
                    let child = libc::clone(child, top, flags, own);
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                }
                status
            };
            scope.spawn(start).join().unwrap()
        });
        assert_eq!((status, *own.get(|_| 2)), (0, 1));
    }

    /// A thread of the parent that the child does not have was in the midst of changing it.
    #[test]
    fn a_child_drops_nothing_that_was_being_changed() {
        static DROPPED: AtomicUsize = AtomicUsize::new(0);
        struct Thing;
        impl Drop for Thing {
            fn drop(&mut self) {
                DROPPED.fetch_add(1, Relaxed);
            }
        }

        let own = Own::new();
        let mut own = Some(own);
        let thing = own.as_ref().unwrap().get(|_| Mutex::new(Thing));
        let thing = &raw const *thing;
        // SAFETY: it is dropped below, in children and at the end, when the lock is not held here.
        let changing = unsafe { &*thing }.lock().unwrap();
        assert!(is_so_in_child(|| {
            drop(own.take());
            DROPPED.load(Relaxed) == 0
        }));
        drop(changing);
        assert!(is_so_in_child(|| {
            drop(own.take());
            DROPPED.load(Relaxed) == 1
        }));
        drop(own);
        assert_eq!(DROPPED.load(Relaxed), 1);
    }

    #[test]
    fn everything_is_given_back() {
        let kept = std::sync::Arc::new(());
        let own = Own::new();
        own.get(|_| kept.clone());
        assert_eq!(std::sync::Arc::strong_count(&kept), 2);
        drop(own);
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }
}
