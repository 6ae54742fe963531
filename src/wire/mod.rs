//! varlink without I/O: bytes in, messages out.
