//! The steps of the protocol that keep readers and recovery right, each of which can be taken away
//! in a test, to show that the tests would notice.
//!
//! In any other build [`kept`] is `true` at compile time.

/// One step of the protocol. What it protects from is told where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Readers look at the stamp again.
    Stamp,
    /// Readers look at the slot again.
    Slot,
    /// Readers look at the root again after a hit.
    RootOfHit,
    /// Readers look at the root again after a miss.
    RootOfMiss,
    /// Who reads everything looks at the revision again.
    RevisionOfScan,
    /// Readers order what they copied before what they look at again.
    ReaderFence,
    /// Readers order the root before what stands in its table.
    RootFence,
    /// A slot past which keys have overflowed is not made empty.
    Tomb,
    /// A block is written before it is published.
    Content,
    /// The old block stays as it is until it cannot be found any more.
    OldBlock,
    /// The revision is taken before anything else of a change can be seen.
    RevisionFirst,
    /// Memory is written again only after everybody can see that its block is gone.
    ReuseFence,
    /// The stamp of a line grows with every change of a slot. Which of them is stored first does
    /// not matter, because readers look at both again: between two equal words of a slot the stamp
    /// has grown at least once, in either order.
    StampGrows,
    /// A slot is published after the content of its block. Either the fence before the store or
    /// that it is a publishing one would suffice, so they are taken away together.
    PublishOrder,
    /// The redo record is complete before it counts.
    RedoFirst,
    /// The redo record counts until all of it is done.
    RedoUntilDone,
    /// While a table is rebuilt, changes go to both.
    Mirror,
    /// The generation grows whenever the root changes, which never is the same again.
    GenerationGrows,
    /// A block that is moved is copied before it is published.
    MoveContent,
}

#[cfg(not(test))]
#[inline(always)]
pub(super) const fn kept(_: Protection) -> bool {
    true
}

#[cfg(test)]
pub(super) use self::removal::{kept, without};

#[cfg(test)]
mod removal {
    use std::cell::Cell;

    use super::Protection;

    thread_local! {
        static REMOVED: Cell<Option<Protection>> = const { Cell::new(None) };
    }

    /// Whether a protection is in force in this thread.
    pub(in crate::map) fn kept(protection: Protection) -> bool {
        REMOVED.get() != Some(protection)
    }

    /// Does something without a protection.
    pub(in crate::map) fn without<T>(protection: Protection, act: impl FnOnce() -> T) -> T {
        struct Back;
        impl Drop for Back {
            fn drop(&mut self) {
                REMOVED.set(None);
            }
        }
        REMOVED.set(Some(protection));
        let _back = Back;
        act()
    }
}
