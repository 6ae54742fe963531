//! The varlink protocol, byte by byte, against the real service.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod every_method;
mod flow;
mod framing;
mod life;
mod limits;
mod map;
mod sockets;
mod values;
