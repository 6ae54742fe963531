//! The C ABI over the client, from which `include/globstash.h` is made.
//!
//! Each function here is one of the header: it makes of what C hands over what the client takes,
//! calls it, and puts the result where the caller wants it; nothing is decided here. The comment
//! before it is the one of the header, so it speaks to C.
//!
//! `failure` catches panics, `last` keeps what went wrong, `arguments` is careful with pointers,
//! `stash` has the connections.
#![allow(
    unsafe_code,
    reason = "what C hands over are pointers, and names without mangling"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the duties are the same everywhere: the header says them at its top, to C"
)]

// In the order of the header.
mod simple;

mod last;

mod failure;

mod handle;

mod get;

mod calls;

mod apply;

mod variable;

mod list;

mod watch;

mod resume;

// Nothing of these is in the header, but for types.
mod arguments;
mod length;
mod numbers;
mod stash;
mod terms;
