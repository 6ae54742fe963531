//! The service without a socket: a message in, its replies out. For benches and fuzzing.

use std::io;

use super::service::Service;
use super::store::Store;
use super::table::Token;
use crate::map::Limits;
use crate::sys::peer::Peer;
use crate::wire::request::Request;

/// A service with no variables and nobody else connected.
pub struct Loopback(Service);

impl Loopback {
    /// A new instance with ordinary limits.
    pub fn new() -> io::Result<Self> {
        let limits = Limits {
            variables: 1 << 20,
            bytes: 256 << 20,
        };
        Ok(Loopback(Service::new(Store::new(limits)?)))
    }

    /// Answers a message, given without its NUL. False if it is no request.
    pub fn answer(&mut self, message: &[u8], replies: &mut Vec<u8>) -> bool {
        let Ok(request) = Request::parse(message) else {
            return false;
        };
        let peer = Peer { uid: 0, pid: 1 };
        let who = Token::from_u64(0);
        let mut job = self.0.call(&request, peer, who, 1, replies);
        while let Some(unfinished) = job.take_if(|job| !job.is_asleep) {
            job = self.0.resume(unfinished, who, replies);
        }
        self.0.outbox().clear();
        true
    }
}
