//! What programs use to talk to the service.

/// Types and client as varlink_generator makes them from the interface file. An implementation
/// detail: what is public is written by hand, so that it does not change with a nullable field.
#[allow(
    non_camel_case_types,
    non_snake_case,
    dead_code,
    missing_docs,
    unused_qualifications
)]
#[allow(clippy::all, clippy::pedantic, clippy::nursery)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/io.globstash.rs"));
}
