//! Who has how much: connections, and bytes that wait for a peer or from it.
//!
//! Everything that is kept for a peer is charged to its user. A [`Seat`] is one connection, a
//! [`Charge`] the bytes that wait on it, [`Shared`] is what waits on several; all give back what
//! they hold when they are dropped, so that no path can forget to.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Most connections, all users together.
pub(crate) const CONNECTIONS_MAX: u64 = 16_384;
/// Most connections of one user; the same as systemd's varlink services have.
pub(crate) const USER_CONNECTIONS_MAX: u64 = 1_024;
/// Most bytes that wait for one user: two messages of the greatest length.
pub(crate) const USER_WAITING_MAX: usize = 32 << 20;
/// When so many wait for a user, those who can be told later are.
const USER_CROWDED: usize = USER_WAITING_MAX / 2;
/// Most bytes that wait for all users together.
pub(crate) const WAITING_MAX: usize = 256 << 20;

/// All users that have connections.
#[derive(Default)]
pub(crate) struct Accounts {
    users: HashMap<u32, Weak<Account>>,
    total: Rc<Account>,
    /// How many users there were when the last of those who left was removed.
    swept: usize,
}

#[derive(Debug, Default)]
struct Account {
    connections: Cell<u64>,
    waiting: Cell<usize>,
}

/// A connection of a user.
#[derive(Debug)]
pub(crate) struct Seat {
    user: Rc<Account>,
    total: Rc<Account>,
}

/// Bytes that wait on a connection.
#[derive(Debug)]
pub(crate) struct Charge {
    user: Rc<Account>,
    total: Rc<Account>,
    bytes: usize,
}

/// Bytes that wait on several connections of a user, and are there and charged once.
#[derive(Debug)]
pub(crate) struct Shared {
    bytes: Rc<[u8]>,
    _charge: Charge,
}

/// There are so many connections that there can be no more; the limit that was reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany(pub(crate) u64);

/// Whose bytes are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// This user's.
    User,
    /// Those of all users together.
    Total,
}

impl Accounts {
    /// A connection for a user, and the charge for what will wait on it.
    pub(crate) fn sit(&mut self, uid: u32) -> (Result<Seat, TooMany>, Charge) {
        let user = self.user(uid);
        let charge = Charge {
            user: Rc::clone(&user),
            total: Rc::clone(&self.total),
            bytes: 0,
        };
        let seat = if self.total.connections.get() >= CONNECTIONS_MAX {
            Err(TooMany(CONNECTIONS_MAX))
        } else if user.connections.get() >= USER_CONNECTIONS_MAX {
            Err(TooMany(USER_CONNECTIONS_MAX))
        } else {
            Ok(Seat::new(user, Rc::clone(&self.total)))
        };
        (seat, charge)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> u64 {
        self.total.connections.get()
    }

    fn user(&mut self, uid: u32) -> Rc<Account> {
        // Users that left are removed when there are twice as many as remained the last time.
        if self.users.len() > 2 * self.swept + 64 {
            self.users.retain(|_, account| account.strong_count() > 0);
            self.swept = self.users.len();
        }
        let known = self.users.get(&uid).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let account = Rc::new(Account::default());
            self.users.insert(uid, Rc::downgrade(&account));
            account
        })
    }
}

impl Seat {
    fn new(user: Rc<Account>, total: Rc<Account>) -> Self {
        for account in [&user, &total] {
            account.connections.set(account.connections.get() + 1);
        }
        Seat { user, total }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for account in [&self.user, &self.total] {
            account.connections.set(account.connections.get() - 1);
        }
    }
}

impl Charge {
    /// So many bytes wait now. Says if that is too much, of the user's or of all.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Excess> {
        if bytes != self.bytes {
            for account in [&self.user, &self.total] {
                account
                    .waiting
                    .set(account.waiting.get() - self.bytes + bytes);
            }
            self.bytes = bytes;
        }
        if self.user.waiting.get() > USER_WAITING_MAX {
            Err(Excess::User)
        } else if self.total.waiting.get() > WAITING_MAX {
            Err(Excess::Total)
        } else {
            Ok(())
        }
    }

    /// Bytes that wait on this connection, and may wait on others of the same user. If that is too
    /// much, the next [`Self::set`] says so.
    pub(crate) fn share(&self, bytes: Rc<[u8]>) -> Rc<Shared> {
        let mut charge = Charge {
            user: Rc::clone(&self.user),
            total: Rc::clone(&self.total),
            bytes: 0,
        };
        let _ = charge.set(bytes.len());
        Rc::new(Shared {
            bytes,
            _charge: charge,
        })
    }

    /// Whether so much waits for the user that no more should be added without need.
    pub(crate) fn is_crowded(&self) -> bool {
        self.user.waiting.get() > USER_CROWDED
    }

    /// Whether `other` is the charge of a connection of the same user.
    pub(crate) fn same_user(&self, other: &Charge) -> bool {
        Rc::ptr_eq(&self.user, &other.user)
    }
}

impl Shared {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for account in [&self.user, &self.total] {
            account.waiting.set(account.waiting.get() - self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_given_back_when_it_is_dropped() {
        let mut accounts = Accounts::default();
        let seats: Vec<Seat> = (0..USER_CONNECTIONS_MAX)
            .map(|_| accounts.sit(7).0.unwrap())
            .collect();
        assert_eq!(
            accounts.sit(7).0.unwrap_err(),
            TooMany(USER_CONNECTIONS_MAX)
        );
        assert!(accounts.sit(8).0.is_ok(), "another user is not concerned");
        assert_eq!(accounts.connections(), USER_CONNECTIONS_MAX);
        drop(seats);
        assert_eq!(accounts.connections(), 0);
        assert!(accounts.sit(7).0.is_ok());
    }

    #[test]
    fn all_users_together_have_a_limit_too() {
        let mut accounts = Accounts::default();
        let sit = |uid: u64| accounts.sit(uid as u32).0;
        let seats: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|n| n / USER_CONNECTIONS_MAX)
            .map(sit)
            .collect();
        assert!(seats.iter().all(Result::is_ok));
        assert_eq!(accounts.sit(1000).0.unwrap_err(), TooMany(CONNECTIONS_MAX));
    }

    #[test]
    fn waiting_bytes_are_counted_for_the_user_and_for_all() {
        let mut accounts = Accounts::default();
        let (mut one, mut two, mut other) =
            (accounts.sit(7).1, accounts.sit(7).1, accounts.sit(8).1);
        assert_eq!(one.set(USER_WAITING_MAX), Ok(()));
        assert_eq!(two.set(1), Err(Excess::User));
        assert_eq!(other.set(1), Ok(()));
        assert!(one.same_user(&two) && !one.same_user(&other));
        drop(one);
        assert_eq!(two.set(2), Ok(()));
    }

    #[test]
    fn what_waits_on_several_connections_is_counted_once() {
        let mut accounts = Accounts::default();
        let (mut one, mut two) = (accounts.sit(7).1, accounts.sit(7).1);
        let shared = one.share(vec![0; USER_WAITING_MAX].into());
        let copy = Rc::clone(&shared);
        assert_eq!(one.set(0), Ok(()));
        assert_eq!(two.set(1), Err(Excess::User));
        drop((one, shared));
        assert_eq!(two.set(1), Err(Excess::User));
        drop(copy);
        assert_eq!(two.set(1), Ok(()));
    }

    #[test]
    fn users_that_left_are_forgotten() {
        let mut accounts = Accounts::default();
        for uid in 0..10_000 {
            drop(accounts.sit(uid));
        }
        assert!(accounts.users.len() <= 65, "{}", accounts.users.len());
    }
}
