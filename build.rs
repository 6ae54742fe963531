//! Makes code from the interface files, into `OUT_DIR`:
//!
//! - `io.globstash.rs`: types and client, by varlink_generator;
//! - `io.globstash.stubs.rs` and `org.varlink.service.stubs.rs`: what a service needs, by [`stubs`].

#[path = "build/stubs.rs"]
mod stubs;

fn main() {
    varlink_generator::cargo_build("io.globstash.varlink");
    stubs::make("io.globstash.varlink");
    stubs::make("src/wire/org.varlink.service.varlink");
    println!("cargo::rerun-if-changed=build");
}
