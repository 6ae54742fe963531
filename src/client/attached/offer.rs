//! What the service offers to be mapped, and whether it is taken.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::super::connection::{Broken, Connection, Expect};
use super::super::error::Error;
use super::super::generated::{OpenMap_Args, OpenMap_Reply};
use super::super::message::{Problem, Replies, Reply, reply, request};
use super::super::route::Route;
use crate::map::{LAYOUT, View};

/// What tells one instance of the service from another; none has 0.
pub(super) type Instance = u128;

/// What came in answer to the question for the map.
pub(super) struct Offer {
    reply: Result<Reply<OpenMap_Reply>, Problem>,
    descriptors: Vec<OwnedFd>,
}

impl Offer {
    /// Asks for the map over a connection of its own, and waits for the answer; once again if the
    /// connection is lost.
    pub(super) fn wait_for(route: &Route) -> Result<(Connection, Offer), Error> {
        let answer = Expect::Answer(route.options.timeout);
        let mut is_repeated = false;
        loop {
            let mut connection = route.open()?;
            let sent = connection.send(&question());
            match sent.and_then(|()| Offer::receive(&mut connection, answer)) {
                Ok(offer) => return Ok((connection, offer)),
                Err(Broken::Lost) if !is_repeated => is_repeated = true,
                Err(broken) => return Err(route.broken(broken)),
            }
        }
    }

    /// Asks for the map, without waiting for anything; `None` if nobody can be asked.
    pub(super) fn ask_for(route: &Route) -> Option<Connection> {
        let mut connection = route.connect(Duration::ZERO).ok()?;
        connection.send(&question()).ok()?;
        Some(connection)
    }

    /// What was offered, if the answer comes within this time, or is there already.
    pub(super) fn within(limit: Duration, connection: &mut Connection) -> Result<Offer, Broken> {
        Offer::receive(connection, Expect::Event(Some(limit)))
    }

    fn receive(connection: &mut Connection, expect: Expect) -> Result<Offer, Broken> {
        let (reply, descriptors) = connection.receive_enclosed(expect, reply)?;
        Ok(Offer { reply, descriptors })
    }

    /// The instance whose map it is, if we could read that.
    pub(super) fn instance(&self) -> Option<Instance> {
        let reply = &self.reply.as_ref().ok()?.parameters;
        let is_ours = u32::try_from(reply.layout) == Ok(LAYOUT);
        is_ours.then(|| instance(&reply.instance)).flatten()
    }

    /// Maps it. `None` for whatever reason: then the service is asked for each variable.
    pub(super) fn take(&self) -> Option<(View, Instance)> {
        let instance = self.instance()?;
        let reply = &self.reply.as_ref().ok()?.parameters;
        let index = usize::try_from(reply.mapFileDescriptor).ok()?;
        let file = self.descriptors.get(index)?;
        let size = u64::try_from(reply.size).ok()?;
        let view = View::accept(file.as_fd(), size, instance).ok()?;
        Some((view, instance))
    }
}

/// An instance as the service tells it: 32 hexadecimal digits.
pub(super) fn instance(told: &str) -> Option<Instance> {
    u128::from_str_radix(told, 16).ok()
}

fn question() -> Vec<u8> {
    request("OpenMap", &OpenMap_Args {}, Replies::One)
}
