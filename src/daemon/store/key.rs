//! The keys of variables.

use std::rc::Rc;

pub(crate) use crate::wire::key::{KEY_MAX, KeyFlaw, check};

/// A key that is kept for a while, by several perhaps.
pub(crate) type Key = Rc<[u8]>;
