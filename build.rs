//! Makes code from the interface file, into `OUT_DIR`: `io.globstash.rs`, types and client, by
//! varlink_generator.

fn main() {
    varlink_generator::cargo_build("io.globstash.varlink");
}
