//! The libraries for C and C++, as a program gets them: built and installed by make, found by pkg-config,
//! linked by the compiler, against a real service. Each program runs as it is, under valgrind, and with
//! the compiler's sanitizers.
#![cfg(all(feature = "command", feature = "service"))]

#[path = "../common/mod.rs"]
mod common;

mod build;
mod examples;
mod library;
mod programs;
