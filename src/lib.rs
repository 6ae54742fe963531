//! Global variables for every process on a Linux machine.
//!
//! ```
//! # let address = globstash::daemon::example::start();
//! # unsafe { std::env::set_var("GLOBSTASH_ADDRESS", address) };
//! use globstash::Client;
//!
//! let mut client = Client::connect()?;
//! client.set("player/volume", "0.5")?;
//! assert_eq!(client.get("player/volume")?, Some("0.5".into()));
//! # Ok::<(), globstash::Error>(())
//! ```
//!
//! A program that only talks to the service needs neither the service nor the command in it:
//! `default-features = false`. Begin with [`Client`].
//!
//! # The house
//!
//! One package: this library and two thin binaries, `globstash` (the command) and `globstashd`
//! (the service). Imports go down only; `tests/floors.rs` reads the `use` lines and fails on an
//! arrow that goes up or sideways.
//!
//! | floor | room       | what it is                                                        |
//! |-------|------------|-------------------------------------------------------------------|
//! | 3     | `cli`      | the command: arguments, one file a command, output, exit status   |
//! | 3     | `capi`     | the C ABI over the client                                         |
//! | 2     | `client`   | what programs use: address, connection, calls, the map            |
//! | 2     | `daemon`   | the service: event loop, connections, dispatch, store, accounts   |
//! | 1     | `wire`     | varlink without I/O: framing, requests, validation, replies       |
//! | 1     | `map`      | keys, values and revisions in shared memory, with one writer      |
//! | 0     | `sys`      | system calls that std and rustix lack or that need care           |
//!
//! `map` and `wire` never see one another; nor do `client` and `daemon`.
//!
//! # The rules
//!
//! What each room does not know is what keeps it simple:
//!
//! - the **map knows no protocol**: bytes and revisions; no JSON, no sockets, no clock;
//! - the **wire does no I/O**: bytes in, messages out;
//! - the **event loop knows no keys**: descriptors, readiness, deadlines;
//! - the **store knows no connection**: it gives back what changed;
//! - **one writer**: nobody but the store holds the map where it can be written;
//! - **readers trust no byte** that they read from shared memory;
//! - **no turn of the loop costs as much as the number of connections or keys**;
//! - **everything kept for a peer is charged to its user** and given back in `Drop`;
//! - **a slow reader harms itself alone**;
//! - **values vanish in two ways only**: what a caller asked for (also for later), and SIGTERM;
//! - **one definition, many derivatives**: the interface file makes the types, the service's stubs,
//!   the validation table and the text that the service describes itself with; `capi` makes the C
//!   header;
//! - **an idle service sleeps**: no timer unless something is due;
//! - **unsafe lives in few rooms**, each with its reason.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// Its examples are C, which is not what rustdoc compiles.
#[cfg(all(feature = "capi", not(doctest)))]
mod capi;
#[cfg(feature = "command")]
pub mod cli;
mod client;
#[cfg(feature = "service")]
pub mod daemon;
// A program that only reads does not use all of it, and benches use more than the service.
#[cfg_attr(not(all(test, feature = "service")), allow(dead_code))]
mod map;
mod sys;
mod wire;

pub use client::*;
