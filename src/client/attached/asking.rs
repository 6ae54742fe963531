//! Asking the service, for whatever the map cannot tell.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::own::Inherited;

use super::super::Client;
use super::super::connection::Connection;
use super::super::error::Error;
use super::super::route::Route;
use super::offer::{Instance, instance};

/// How often a question is asked again because the service was replaced meanwhile.
const ROUNDS: u32 = 4;

/// A client that threads share.
#[derive(Debug)]
pub(super) struct Asking(Mutex<Asked>);

#[derive(Debug)]
struct Asked {
    client: Client,
    /// The connection over which this is known: the instance that is at its other end.
    known: Option<(u64, Instance)>,
}

impl Inherited for Asking {
    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }
}

impl Asking {
    pub(super) fn new(route: Route) -> Asking {
        let client = Client { route, idle: None };
        let known = None;
        Asking(Mutex::new(Asked { client, known }))
    }

    /// A connection to begin with.
    pub(super) fn have(&self, idle: Option<Connection>) {
        self.asked().client.idle = idle;
    }

    /// Asks something.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut asked = self.asked();
        ask(&mut asked.client)
    }

    /// Asks something, and which instance it is that has answered.
    pub(super) fn ask_whom<T>(
        &self,
        ask: impl Fn(&mut Client) -> Result<T, Error>,
    ) -> Result<(T, Instance), Error> {
        let mut asked = self.asked();
        let Asked { client, known } = &mut *asked;
        let connection = |client: &Client| client.idle.as_ref().map(|idle| idle.number);
        let mut rounds = 0;
        loop {
            let answer = ask(client)?;
            let over = connection(client);
            if let (Some(over), Some((of, instance))) = (over, *known)
                && over == of
            {
                return Ok((answer, instance));
            }
            let status = client.status()?;
            *known = connection(client).zip(instance(&status.instance));
            rounds += 1;
            match *known {
                Some((of, instance)) if over == Some(of) || rounds == ROUNDS => {
                    return Ok((answer, instance));
                }
                None if rounds == ROUNDS => return Ok((answer, 0)),
                _ => {}
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // A client can be used again whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
