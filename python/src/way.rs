//! The way to the service: connections that are opened when they are needed, and shared.
//!
//! A call takes an idle client, or connects, and gives it back. So threads do not wait for one
//! another, a handler of signals can make a call in the middle of one, and a process that forks has
//! clients of its own.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use globstash::{Attached, Client, Error, Options, Process};
use pyo3::prelude::*;

use crate::error::raised;
use crate::signals;

/// So many clients are kept for the next call. More at the same time are rare.
const IDLE: usize = 4;

/// Which service is meant.
#[derive(Clone, Debug)]
pub enum Place {
    /// What `$GLOBSTASH_ADDRESS` names, or the machine's.
    Chosen,
    /// The user's own.
    User,
    /// The one at this address.
    At(String),
}

/// The way to one service, shared by all that was made from one stash.
pub struct Way {
    pub place: Place,
    pub timeout: Option<Duration>,
    idle: Mutex<Idle>,
    attached: OnceLock<Attached>,
}

/// The clients of one process.
struct Idle {
    process: Process,
    clients: Vec<Client>,
}

impl Way {
    /// Connects to nothing yet.
    pub fn new(place: Place, timeout: Option<Duration>) -> Way {
        let idle = Mutex::new(Idle::of_this_process());
        Way {
            place,
            timeout,
            idle,
            attached: OnceLock::new(),
        }
    }

    /// Makes a call, while others may run.
    pub fn call<T: Send>(
        &self,
        py: Python,
        call: impl FnOnce(&mut Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        self.try_call(py, call).map_err(|error| raised(py, error))
    }

    /// The same, for those who have something to do when it fails.
    pub fn try_call<T: Send>(
        &self,
        py: Python,
        call: impl FnOnce(&mut Client) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let client = self.take();
        let (client, result) = py.detach(|| {
            let mut client = client.map_or_else(|| self.connect(), Ok)?;
            let result = call(&mut client);
            Ok::<_, Error>((client, result))
        })?;
        self.give_back(client);
        result
    }

    /// The way to read.
    pub fn attached(&self, py: Python) -> PyResult<&Attached> {
        if let Some(attached) = self.attached.get() {
            return Ok(attached);
        }
        let attached = self.call(py, |client| client.attach())?;
        // If another thread was faster, that one's.
        Ok(self.attached.get_or_init(|| attached))
    }

    /// Whether reads go through the map, as far as anything was read.
    pub fn is_mapped(&self) -> Option<bool> {
        self.attached.get().map(Attached::is_mapped)
    }

    /// Lets go of the connections that are not in use. The next call opens another.
    pub fn close(&self) {
        let idle = std::mem::take(&mut self.idle().clients);
        drop(idle);
    }

    fn connect(&self) -> Result<Client, Error> {
        let mut options = Options::new().interruptible_by(signals::is_over);
        if let Some(timeout) = self.timeout {
            options = options.timeout(timeout);
        }
        match &self.place {
            Place::Chosen => options.connect(),
            Place::User => options.connect_user(),
            Place::At(address) => options.at(address.as_str()),
        }
    }

    fn take(&self) -> Option<Client> {
        self.idle().clients.pop()
    }

    fn give_back(&self, client: Client) {
        let mut idle = self.idle();
        if idle.clients.len() < IDLE {
            idle.clients.push(client);
        }
    }

    /// The clients of this process; those of the one that it was forked from are let go of.
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.process != Process::this() {
            *idle = Idle::of_this_process();
        }
        idle
    }
}

impl Idle {
    fn of_this_process() -> Idle {
        let process = Process::this();
        let clients = Vec::new();
        Idle { process, clients }
    }
}
