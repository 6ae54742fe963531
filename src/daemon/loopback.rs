//! The service without a socket: bytes in, replies out. For benches and fuzzing.

use std::io;

use super::contract::{Caller, Serve as _};
use super::service::Service;
use super::store::Store;
use super::table::Token;
use crate::map::Limits;
use crate::sys::peer::Peer;
use crate::wire::frame::Framer;
use crate::wire::request::Request;

/// A service with no variables and one caller, who is answered in memory.
pub struct Loopback {
    service: Service,
    input: Framer,
}

/// What came is no request, or too long for one.
#[derive(Debug)]
pub struct Refused;

impl Loopback {
    /// A new instance with ordinary limits.
    pub fn new() -> io::Result<Self> {
        let limits = Limits {
            variables: 1 << 20,
            bytes: 256 << 20,
        };
        let service = Service::new(Store::new(limits)?)?;
        let input = Framer::default();
        Ok(Loopback { service, input })
    }

    /// Takes what a peer sends and appends what it is answered, as a connection does.
    pub fn answer(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> Result<(), Refused> {
        let who = Token::from_u64(0);
        let caller = Caller {
            peer: Peer { uid: 0, pid: 1 },
            who,
            socket: None,
            connections: 1,
        };
        self.input.push(bytes);
        while let Some(message) = self.input.next().map_err(|_| Refused)? {
            let request = Request::parse(message).map_err(|_| Refused)?;
            let mut job = self.service.call(&request, caller, replies);
            while let Some(unfinished) = job.take_if(|job| !job.is_asleep) {
                job = self.service.resume(unfinished, who, replies);
            }
            self.service.outbox().clear();
        }
        self.input.rest();
        Ok(())
    }
}
