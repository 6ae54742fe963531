//! The event loop with an interface that a test brings, instead of ours.
//!
//! Connections, frames, requests, turns, calls answered in pieces and `org.varlink.service` are as in
//! the service. What the methods do is the test's; replies are JSON that is written here.

use std::collections::VecDeque;
use std::io::Write as _;

use serde_json::Value;

use super::contract::{Caller, Delivery, Serve, Unfinished};
use super::example;
use super::server::Server;
use super::table::Token;
use crate::wire::fault::Fault;
use crate::wire::introspection::{self, Introspection};
use crate::wire::reply::Reply;
use crate::wire::request::Request;
use crate::wire::table::Interface;

/// A call to the interface.
#[derive(Debug)]
pub struct Call {
    /// The method, without the interface.
    pub method: String,
    /// Its parameters.
    pub parameters: Value,
    /// Whether the caller takes several replies.
    pub more: bool,
    /// Whether the caller wants no reply.
    pub oneway: bool,
}

/// The parameters of each reply to a call, one at least; or an error of the interface, and its
/// parameters.
pub type Answer = Result<Vec<Value>, (&'static str, Value)>;

/// Serves the interface in a thread of its own, to end with the process. Returns the address.
///
/// # Panics
///
/// If it cannot.
pub fn start(
    name: &'static str,
    description: &'static str,
    answer: impl FnMut(Call) -> Answer + Send + 'static,
) -> String {
    example::spawn(move |signals, listeners| {
        let mounted = Mounted::new(name, description, answer);
        Server::new(mounted, signals, listeners)?.run()
    })
}

/// A service with this interface and `org.varlink.service`.
struct Mounted<F> {
    name: &'static str,
    introspection: Introspection,
    answer: F,
    outbox: Vec<Delivery>,
}

/// The parameters of the replies that follow, one in each turn.
struct Replies(VecDeque<Value>);

impl Unfinished for Replies {}

impl<F: FnMut(Call) -> Answer> Mounted<F> {
    fn new(name: &'static str, description: &'static str, answer: F) -> Self {
        let interface: &Interface = Box::leak(Box::new(Interface {
            name,
            description,
            methods: &[],
            errors: &[],
        }));
        Mounted {
            name,
            introspection: Introspection {
                interfaces: Box::leak(Box::new([interface])),
            },
            answer,
            outbox: Vec::new(),
        }
    }

    /// What is to be replied, if it is not replied yet.
    fn dispatch(
        &mut self,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Replies>, Fault> {
        let interface = request.interface();
        if interface == introspection::INTERFACE.name {
            introspection::dispatch(&mut self.introspection, request, Reply::new(out))??;
            return Ok(None);
        }
        if interface != self.name {
            return Err(Fault::InterfaceNotFound(interface.to_owned()));
        }
        let answer = (self.answer)(Call {
            method: request.member().to_owned(),
            parameters: request.parameters.read(&[])?,
            more: request.more,
            oneway: request.oneway,
        });
        match answer {
            Ok(replies) => Ok(Some(Replies(replies.into()))),
            Err((error, parameters)) => {
                let (name, parameters) = (self.name, parameters.to_string());
                write_reply(out, &format!(r#""error":"{name}.{error}","#), &parameters);
                Ok(None)
            }
        }
    }
}

impl<F: FnMut(Call) -> Answer> Serve for Mounted<F> {
    type Job = Replies;

    fn call(
        &mut self,
        request: &Request<'_>,
        caller: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Replies> {
        let start = out.len();
        let job = match self.dispatch(request, out) {
            Ok(Some(replies)) => self.resume(replies, caller.who, out),
            Ok(None) => None,
            Err(fault) => {
                fault.write(&request.method, Reply::new(out));
                None
            }
        };
        if request.oneway {
            out.truncate(start);
            return None;
        }
        job
    }

    fn resume(&mut self, mut job: Replies, _: Token, out: &mut Vec<u8>) -> Option<Replies> {
        let parameters = job.0.pop_front()?.to_string();
        let is_last = job.0.is_empty();
        let flag = if is_last { "" } else { r#""continues":true,"# };
        write_reply(out, flag, &parameters);
        (!is_last).then_some(job)
    }

    fn outbox(&mut self) -> &mut Vec<Delivery> {
        &mut self.outbox
    }
}

fn write_reply(out: &mut Vec<u8>, member: &str, parameters: &str) {
    write!(out, "{{{member}\"parameters\":{parameters}}}\0").expect("memory takes everything");
}
