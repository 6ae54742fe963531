//! A list, while it arrives.

use std::vec;

use super::connection::{Connection, Expect};
use super::entry::Entry;
use super::error::Error;
use super::generated::{self, List_Args, List_Reply};
use super::message::{self, Replies, Reply, request};
use super::question::{Fields, Patterns};
use super::route::{Purpose, Route};

/// Variables, in the order of their keys, as the service tells them: see
/// [`Client::list`](crate::Client::list).
///
/// What is told was so when it was told: a variable that is there all the time is told exactly
/// once, while others may come and go. To get a state and follow it from there, use a
/// [`Watch`](crate::Watch). After an error nothing more comes.
#[derive(Debug)]
pub struct List {
    route: Route,
    arrived: vec::IntoIter<generated::Entry>,
    /// Where the others come from, if there are any.
    rest: Option<Connection>,
    /// The revision at which all that has arrived is true; `None` before the first reply.
    revision: Option<i64>,
    /// Whether there is no such revision, because something changed between two replies.
    is_blurred: bool,
}

impl List {
    pub(super) fn begin(
        route: &Route,
        idle: Option<Connection>,
        Patterns(patterns): Patterns,
        fields: Fields,
    ) -> Result<List, Error> {
        #[allow(non_snake_case, reason = "the name that it has on the wire")]
        let (keysOnly, metadata) = fields.into_wire();
        let args = List_Args {
            patterns,
            keysOnly,
            metadata,
        };
        let request = request("List", &args, Replies::Many);
        let (connection, reply) = route.call(idle, &request, Purpose::Read)?;
        let mut list = List {
            route: route.clone(),
            arrived: Vec::new().into_iter(),
            rest: Some(connection),
            revision: None,
            is_blurred: false,
        };
        list.take_in(reply?);
        Ok(list)
    }

    fn take_in(&mut self, reply: Reply<List_Reply>) {
        let revision = reply.parameters.revision;
        self.is_blurred |= *self.revision.get_or_insert(revision) != revision;
        self.arrived = reply.parameters.entries.into_iter();
        if !reply.continues {
            self.rest = None;
        }
    }

    /// Receives the next reply; false if there is none.
    fn receive(&mut self) -> Result<bool, Error> {
        let Some(connection) = &mut self.rest else {
            return Ok(false);
        };
        let expected = Expect::Answer(self.route.options.timeout);
        let reply = connection
            .receive(expected, message::reply)
            .map_err(|broken| self.route.broken(broken))?
            .map_err(|problem| self.route.problem(problem))?;
        self.take_in(reply);
        Ok(true)
    }

    /// All of the list, if it is what there was at one moment.
    pub(super) fn snapshot(mut self) -> Result<Option<Vec<Entry>>, Error> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next_entry()? {
            if self.is_blurred {
                return Ok(None);
            }
            entries.push(entry);
        }
        Ok((!self.is_blurred).then_some(entries))
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.arrived.next() {
                let entry = Entry::from_wire(entry);
                return entry.map(Some).map_err(|what| self.route.nonsense(what));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for List {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        let entry = self.next_entry();
        if entry.is_err() {
            self.arrived = Vec::new().into_iter();
            self.rest = None;
        }
        entry.transpose()
    }
}
