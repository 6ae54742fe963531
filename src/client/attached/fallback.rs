//! Asking the service, from any thread of any process that has come to have the object.
//!
//! A client does one thing at a time, so there is a lock around it. A process that forks has the
//! connection of its parent, and perhaps a lock that a thread holds which it does not have: it must
//! use neither. So every process has a client and a lock of its own, and goes by the others.

use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::super::Client;
use super::super::error::Error;
use super::super::route::Route;

/// The way to the service, of this process and of those that it was forked from.
#[derive(Debug)]
pub(super) struct Fallback {
    route: Route,
    first: Own,
}

/// The client of one process.
#[derive(Debug)]
struct Own {
    process: u32,
    client: Mutex<Client>,
    /// That of a process that was forked from this one.
    next: OnceLock<Box<Own>>,
}

impl Fallback {
    /// Connects.
    pub(super) fn open(route: Route) -> Result<Fallback, Error> {
        let idle = Some(route.open()?);
        let first = Own::new(Client {
            route: route.clone(),
            idle,
        });
        Ok(Fallback { route, first })
    }

    /// Asks, with the client of this process.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let client = &self.own().client;
        // A client can be used again whatever happened.
        let mut client = client.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut client)
    }

    fn own(&self) -> &Own {
        let process = process::id();
        let mut own = &self.first;
        while own.process != process {
            own = own.next.get_or_init(|| {
                let route = self.route.clone();
                Box::new(Own::new(Client { route, idle: None }))
            });
        }
        own
    }
}

impl Own {
    fn new(client: Client) -> Own {
        Own {
            process: process::id(),
            client: Mutex::new(client),
            next: OnceLock::new(),
        }
    }
}
