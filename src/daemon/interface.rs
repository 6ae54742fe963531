//! `io.globstash` as a service sees it, made from the interface file.

use crate::wire::prelude::*;

include!(concat!(env!("OUT_DIR"), "/io.globstash.stubs.rs"));
