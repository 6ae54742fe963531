//! System calls that std and rustix lack or that need care, and when not to sleep in one.

pub(crate) mod address;
pub(crate) mod apart;
pub(crate) mod enclosure;
pub(crate) mod newest;
pub(crate) mod own;
pub(crate) mod place;
pub(crate) mod spin;

#[cfg(feature = "service")]
pub(crate) mod activation;
#[cfg(feature = "service")]
pub(crate) mod channel;
#[cfg(feature = "service")]
pub(crate) mod child;
#[cfg(feature = "service")]
pub(crate) mod detach;
#[cfg(any(feature = "command", feature = "service"))]
pub(crate) mod keeper;
#[cfg(feature = "service")]
pub(crate) mod listen;
#[cfg(feature = "service")]
pub(crate) mod lock;
#[cfg(feature = "service")]
pub(crate) mod manager;
#[cfg(any(feature = "command", feature = "service"))]
pub(crate) mod peer;
#[cfg(feature = "service")]
pub(crate) mod process;
#[cfg(any(feature = "command", feature = "service"))]
pub(crate) mod program;
#[cfg(feature = "service")]
pub(crate) mod signals;
#[cfg(feature = "service")]
pub(crate) mod succession;
