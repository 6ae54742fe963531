//! What the package `globstash` for Python is made of: the client library, told to Python.
//!
//! Here is what must be fast or must talk to the client; what is nicer in Python, such as the
//! mapping's views and the waiting of asyncio, is in `globstash/`, and so are the types of what
//! comes out: errors and named tuples.
//!
//! Two rules keep threads, signal handlers and forked processes from waiting for one another:
//!  1. our locks are taken only by who holds the GIL, for as long as it takes to move something
//!     out or in: so nobody ever waits for one, and a process that forks finds all of them open;
//!  2. who waits for the service, or for an event, holds neither a lock nor the GIL.
#![deny(unsafe_code)]

mod arguments;
mod batch;
mod error;
mod signals;
mod stash;
mod tell;
mod variable;
mod watch;
mod way;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::stash::Stash;
    #[pymodule_export]
    use super::variable::Variable;
    #[pymodule_export]
    use super::watch::Watch;
}
