//! Whose turn it is, among connections with work that need not wait for their peers.
//!
//! Users take turns, and the connections of each user among themselves: who has a thousand calls
//! that take long waits a thousand times as long for each, and others do not.

use std::collections::{HashMap, VecDeque};

use super::table::Token;

/// The connections that can go on.
#[derive(Default)]
pub(crate) struct Queue {
    /// The users with work, in the order of their turns.
    turns: VecDeque<u32>,
    /// Their connections.
    users: HashMap<u32, VecDeque<Token>>,
}

impl Queue {
    /// A connection of the user `uid` has work.
    pub(crate) fn push(&mut self, uid: u32, token: Token) {
        let connections = self.users.entry(uid).or_default();
        if connections.is_empty() {
            self.turns.push_back(uid);
        }
        connections.push_back(token);
    }

    /// The connection whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Token> {
        let uid = self.turns.pop_front()?;
        let connections = self.users.get_mut(&uid)?;
        let token = connections.pop_front();
        match connections.is_empty() {
            true => drop(self.users.remove(&uid)),
            false => self.turns.push_back(uid),
        }
        token
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_take_turns_and_so_do_their_connections() {
        let mut queue = Queue::default();
        for number in [10, 11, 12] {
            queue.push(1, Token::from_u64(number));
        }
        queue.push(2, Token::from_u64(20));
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop())
            .map(Token::to_u64)
            .collect();
        assert_eq!(order, [10, 20, 11, 12]);
        assert!(queue.is_empty());
        queue.push(2, Token::from_u64(21));
        assert_eq!(queue.pop(), Some(Token::from_u64(21)));
        assert_eq!(queue.pop(), None);
    }
}
