//! What programs use to talk to the service.
//!
//! A [`Client`] is the way to a service, with at most one connection; its verbs are the methods of
//! `io.globstash`, told in Rust: values are bytes, what is not there is no error, and an [`Error`]
//! says whether a change may have been made. When a call is tried again, and when not, is
//! decided in `route`.
//!
//! The types that travel come from varlink_generator; nothing of that is seen outside.

mod absence;
pub(crate) mod address;
mod attached;
mod batch;
mod connection;
mod entry;
mod error;
pub(crate) mod escape;
mod list;
mod message;
mod options;
mod question;
mod route;
mod terms;
#[cfg(test)]
mod tests;
mod value;
mod wait;
mod watch;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::ser::Serialize;

#[cfg(feature = "command")]
use crate::sys::keeper::Keeper;
#[cfg(feature = "capi")]
pub(crate) use crate::sys::{
    apart,
    own::{Inherited, Own},
};

use connection::Connection;
use message::{Replies, request};
use route::{Purpose, Route};

pub use crate::sys::own::Process;
pub use address::{Address, InvalidAddress, NoUserAddress};
pub use attached::{Attached, Handle, WhenGone};
pub use batch::Batch;
pub use entry::{Change, Deleted, Entry, Event, Revision, Status, Sum, Writer};
pub use error::Error;
#[cfg(feature = "command")]
pub(crate) use error::NotStarted;
pub use list::List;
pub use options::Options;
#[cfg(feature = "command")]
pub(crate) use options::Starter;
#[cfg(feature = "command")]
pub(crate) use question::literal;
pub use question::{Condition, Fields, Patterns, Position, Start, Step, Until};
pub use terms::Terms;
pub use value::Value;
pub use watch::Watch;

/// Types as varlink_generator makes them from the interface file. An implementation detail: what
/// is public is written by hand, so that it does not change with a nullable field.
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

/// Longest value that is sent. The service takes 1 MiB; what is a little longer it shall refuse
/// itself, with its own limit. What is much longer would not fit in a message (16 MiB, with up
/// to six bytes for one in JSON), and the connection would end without a word.
pub(crate) const VALUE_MAX: usize = 2 << 20;

/// Longest message that the service takes, from `docs/design.md`; after a longer one it hangs up.
const MESSAGE_MAX: usize = 16 << 20;

/// How many variables one call deletes at most, from the interface.
const DELETED_MAX: u64 = 4096;

/// The way to a service, and what can be asked of it.
///
/// ```
/// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
/// client.set("player/volume", "0.5")?;
/// assert_eq!(client.get("player/volume")?, Some("0.5".into()));
///
/// client.increment("player/started")?;
/// for entry in client.list("player/")? {
///     let entry = entry?;
///     println!("{} has revision {}", entry.key, entry.revision);
/// }
/// # Ok::<(), globstash::Error>(())
/// ```
///
/// # Errors
///
/// Every verb can fail because the service cannot be reached, is silent, or refuses; see
/// [`Error`]. A read is tried again, once, if the connection is lost, and so is a change of which
/// the service cannot have heard. A change that may have been made is never asked for twice: that
/// is [`Error::OutcomeUnknown`].
///
/// A client can be used again after any error.
///
/// # Threads
///
/// A client can be sent to another thread, and does one thing at a time. Threads that talk to the
/// service at the same time have a client each: connections are cheap. A process that forks must
/// not use a client in both.
#[derive(Debug)]
pub struct Client {
    route: Route,
    /// Open, and nothing outstanding on it.
    idle: Option<Connection>,
}

impl Client {
    /// Connects to the service that `$GLOBSTASH_ADDRESS` names, or else to the one for all of the
    /// machine, at `/run/globstash`; as the command `globstash` does. But where no systemd runs it
    /// starts no service: a program did not ask for that. `globstashd --supervise` does.
    ///
    /// ```
    /// # unsafe { std::env::set_var("GLOBSTASH_ADDRESS", globstash::daemon::example::start()) };
    /// let mut client = globstash::Client::connect()?;
    /// # client.set("player/volume", "0.5")?;
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn connect() -> Result<Client, Error> {
        Options::new().connect()
    }

    /// Connects to the user's own service: at `globstash` in `$XDG_RUNTIME_DIR`, or else in
    /// `/run/user/UID`, or else at `/tmp/globstash-UID/socket`.
    ///
    /// ```
    /// # use globstash::{Client, Error};
    /// match Client::connect_user() {
    ///     Ok(mut client) => println!("{:?}", client.get("player/volume")?),
    ///     Err(error @ Error::Unreachable { .. }) => println!("{error}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn connect_user() -> Result<Client, Error> {
        Options::new().connect_user()
    }

    /// Connects to the service at an address: `unix:/path`, `/path`, or `unix:@name`.
    ///
    /// ```
    /// use globstash::{Client, Error};
    ///
    /// let result = Client::at("unix:/none/such");
    /// assert!(matches!(result, Err(Error::Unreachable { .. })));
    /// ```
    pub fn at<A>(address: A) -> Result<Client, Error>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Options::new().at(address)
    }

    fn open(address: Address, options: Options) -> Result<Client, Error> {
        let route = Route { address, options };
        let idle = Some(route.open()?);
        Ok(Client { route, idle })
    }

    /// Reads a variable; `None` if it is not defined.
    pub fn get(&mut self, key: &str) -> Result<Option<Value>, Error> {
        let entry = self.read(key)?;
        Ok(entry.and_then(|entry| entry.value))
    }

    /// Reads a variable, with its revision.
    fn read(&mut self, key: &str) -> Result<Option<Entry>, Error> {
        let reply = self.ask_for(key, None)?;
        let fields = (reply.value, reply.data);
        let entry = Entry::defined(key, reply.defined, fields, reply.revision);
        entry.map_err(|what| self.nonsense(what))
    }

    /// Another way to read variables of the same service, without asking it: for programs that read
    /// often, from many threads, or while the service is away. See [`Attached`].
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// client.set("player/volume", "0.5")?;
    /// let stash = client.attach()?;
    /// assert_eq!(stash.get("player/volume")?, Some("0.5".into()));
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn attach(&self) -> Result<Attached, Error> {
        self.attach_with(WhenGone::Serve)
    }

    /// The same, with what to do while there is no service.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// use globstash::WhenGone;
    ///
    /// let stash = client.attach_with(WhenGone::Fail)?;
    /// assert_eq!(stash.get("player/volume")?, None);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn attach_with(&self, when_gone: WhenGone) -> Result<Attached, Error> {
        Attached::open(self.route.clone(), when_gone)
    }

    /// Reads a variable, with its revision, and who changed it and when; `None` if it is not
    /// defined.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use globstash::Condition;
    /// client.set("config/mode", "auto")?;
    /// if let Some(entry) = client.entry("config/mode")? {
    ///     // Only if nobody changes it meanwhile.
    ///     let unchanged = Condition::revision(entry.revision);
    ///     client.set_if("config/mode", "manual", unchanged)?;
    /// }
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn entry(&mut self, key: &str) -> Result<Option<Entry>, Error> {
        let reply = self.ask_for(key, Some(true))?;
        let fields = (reply.value, reply.data);
        let entry = Entry::defined(key, reply.defined, fields, reply.revision);
        let metadata = reply.entry.map(Entry::from_wire).transpose();
        let both = entry.and_then(|entry| Ok((entry, metadata?)));
        Ok(match both.map_err(|what| self.nonsense(what))? {
            (Some(entry), Some(metadata)) => Some(Entry {
                value: entry.value,
                ..metadata
            }),
            (entry, _) => entry,
        })
    }

    /// The revision of a variable's last change, [`Revision::UNDEFINED`] if it is not defined: tells
    /// whether it is, and whether it has changed, however long its value is.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use globstash::Revision;
    /// let revision = client.set("config/image", vec![0; 1 << 20])?;
    /// assert_eq!(client.revision("config/image")?, revision);
    /// assert_eq!(client.revision("config/other")?, Revision::UNDEFINED);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn revision(&mut self, key: &str) -> Result<Revision, Error> {
        let Patterns(patterns) = Patterns::keys([key]);
        #[allow(non_snake_case, reason = "the name that it has on the wire")]
        let (keysOnly, metadata) = Fields::KEYS.into_wire();
        let args = generated::List_Args {
            patterns,
            keysOnly,
            metadata,
        };
        let listed: Result<generated::List_Reply, Error> = self.call("List", &args, Purpose::Read);
        let revision = match listed {
            Ok(reply) => reply.entries.first().map(|entry| entry.revision),
            Err(Error::InvalidPattern { .. }) => None,
            Err(error) => return Err(error),
        };
        // What cannot be a key is not in a list either: that a read has to tell.
        let revision = match revision {
            Some(revision) => revision,
            None => self.ask_for(key, None)?.revision,
        };
        Ok(Revision::from_wire(revision))
    }

    fn ask_for(
        &mut self,
        key: &str,
        metadata: Option<bool>,
    ) -> Result<generated::Get_Reply, Error> {
        let key = key.to_owned();
        let args = generated::Get_Args { key, metadata };
        self.call("Get", &args, Purpose::Read)
    }

    /// Defines a variable or replaces its value. Returns the revision of the change.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<Revision, Error> {
        self.set_with(key, value, Terms::new())
    }

    /// Defines a variable or replaces its value, if it is as it must be; otherwise
    /// [`Error::ConditionFailed`].
    pub fn set_if(
        &mut self,
        key: &str,
        value: impl Into<Value>,
        condition: Condition,
    ) -> Result<Revision, Error> {
        self.set_with(key, value, condition.into())
    }

    /// Defines a variable or replaces its value, on some terms: on a condition, or only for a while.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use std::time::Duration;
    /// # use globstash::Terms;
    /// let a_day = Terms::new().ttl(Duration::from_secs(24 * 60 * 60));
    /// client.set_with("weather/today", "rain", a_day)?;
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn set_with(
        &mut self,
        key: &str,
        value: impl Into<Value>,
        terms: Terms,
    ) -> Result<Revision, Error> {
        let value = value.into();
        let key = key.to_owned();
        let size = value.as_bytes().len();
        if size > VALUE_MAX {
            let (size, maximum) = (size as u64, VALUE_MAX as u64);
            return Err(Error::ValueTooLarge { key, size, maximum });
        }
        let (value, data) = value.into_fields();
        let args = generated::Set_Args {
            key,
            value,
            data,
            condition: terms.condition.map(Condition::into_wire),
            ttlUSec: terms.ttl.map(terms::microseconds),
            pid: terms.process.map(i64::from),
            protected: terms.protected,
        };
        let reply: generated::Set_Reply = self.call("Set", &args, Purpose::Change)?;
        Ok(Revision::from_wire(reply.revision))
    }

    /// Deletes a variable. If it is not there, that is no error: the count is 0 then.
    pub fn delete(&mut self, key: &str) -> Result<Deleted, Error> {
        self.delete_by(Some(key), None, None)
    }

    /// Deletes a variable, if it is as it must be; otherwise [`Error::ConditionFailed`].
    pub fn delete_if(&mut self, key: &str, condition: Condition) -> Result<Deleted, Error> {
        self.delete_by(Some(key), None, Some(condition))
    }

    /// Deletes all variables that match. Up to 4,096 go together, with one revision; what more
    /// there is goes in further calls.
    pub fn delete_matching(&mut self, patterns: impl Into<Patterns>) -> Result<Deleted, Error> {
        // Without patterns Delete wants a key: "**" is what all keys match.
        let Patterns(patterns) = patterns.into();
        let patterns = patterns.unwrap_or_else(|| vec!["**".to_owned()]);
        let mut count = 0;
        loop {
            let deleted = self.delete_by(None, Some(patterns.clone()), None)?;
            count += deleted.count;
            if deleted.count < DELETED_MAX {
                return Ok(Deleted { count, ..deleted });
            }
        }
    }

    fn delete_by(
        &mut self,
        key: Option<&str>,
        patterns: Option<Vec<String>>,
        condition: Option<Condition>,
    ) -> Result<Deleted, Error> {
        let args = generated::Delete_Args {
            key: key.map(str::to_owned),
            patterns,
            condition: condition.map(Condition::into_wire),
        };
        let reply: generated::Delete_Reply = self.call("Delete", &args, Purpose::Change)?;
        Ok(Deleted {
            count: entry::natural(reply.count),
            revision: Revision::from_wire(reply.revision),
        })
    }

    /// Gives a variable so much time to live from now on, or no end to it, and leaves its value as it
    /// is. Whoever watches does not see that. Returns whether the variable is defined.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use std::time::Duration;
    /// client.set("session/7", "alice")?;
    /// client.expire("session/7", Duration::from_secs(600))?;
    /// client.expire("session/7", None)?;
    /// assert_eq!(client.expire("session/8", None)?, false);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn expire(&mut self, key: &str, ttl: impl Into<Option<Duration>>) -> Result<bool, Error> {
        let args = generated::Expire_Args {
            key: key.to_owned(),
            ttlUSec: ttl.into().map(terms::microseconds),
        };
        let reply: generated::Expire_Reply = self.call("Expire", &args, Purpose::Change)?;
        Ok(reply.defined)
    }

    /// Adds 1 to the number that a variable holds. What is not defined counts as 0.
    pub fn increment(&mut self, key: &str) -> Result<Sum, Error> {
        self.increment_by(key, Step::by(1))
    }

    /// Adds to the number that a variable holds, and keeps the sum between limits. What is not
    /// defined counts as 0. The sum is exact: 0.1 and 0.2 are 0.3.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use globstash::Step;
    /// client.set("player/volume", "0.95")?;
    /// let louder = Step::by("0.1").maximum(1);
    /// assert_eq!(client.increment_by("player/volume", louder)?.value, "1");
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn increment_by(&mut self, key: &str, step: Step) -> Result<Sum, Error> {
        let args = generated::Increment_Args {
            key: key.to_owned(),
            by: Some(step.by),
            minimum: step.minimum,
            maximum: step.maximum,
        };
        let reply: generated::Increment_Reply = self.call("Increment", &args, Purpose::Change)?;
        Ok(Sum {
            value: reply.value,
            revision: Revision::from_wire(reply.revision),
        })
    }

    /// Makes several changes at once: all of them or, if a check does not hold or a change cannot be
    /// made, none. Returns the revision of the change; the present one if nothing changed.
    ///
    /// Whoever watches is told all of it together. See [`Batch`].
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use globstash::Batch;
    /// let both = Batch::new().set("screen/width", "1920").set("screen/height", "1080");
    /// client.apply(both)?;
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn apply(&mut self, batch: Batch) -> Result<Revision, Error> {
        if let Some((key, size)) = batch.longest().filter(|(_, size)| *size > VALUE_MAX) {
            let (key, size, maximum) = (key.to_owned(), size as u64, VALUE_MAX as u64);
            return Err(Error::ValueTooLarge { key, size, maximum });
        }
        let reply = self.call("Apply", &batch.into_wire(), Purpose::Change)?;
        Ok(batch::revision(&reply))
    }

    /// Waits until a variable is defined, for however long that takes, and returns its value.
    pub fn wait(&mut self, key: &str) -> Result<Value, Error> {
        let entry = self.wait_until(key, Until::defined())?;
        let value = entry.and_then(|entry| entry.value);
        value.ok_or_else(|| self.nonsense("a variable that is defined and is not"))
    }

    /// Waits until a variable is as wanted, and returns it, without metadata; `None` if it is not
    /// defined then. If it is so already, that is at once.
    ///
    /// The service may be away for up to 5 s meanwhile, or for the time that is left if that is
    /// less: it is [`Error::TimedOut`] then.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use std::time::Duration;
    /// # use globstash::{Error, Until};
    /// let soon = Until::value("yes").within(Duration::from_millis(1));
    /// match client.wait_until("db/ready", soon) {
    ///     Err(Error::TimedOut { .. }) => println!("not yet"),
    ///     result => println!("{result:?}"),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn wait_until(&mut self, key: &str, until: Until) -> Result<Option<Entry>, Error> {
        wait::wait(&self.route, &mut self.idle, key, until)
    }

    /// Lists variables with their values, in the order of their keys.
    ///
    /// The list has a connection of its own; the client can be used while it arrives.
    pub fn list(&mut self, patterns: impl Into<Patterns>) -> Result<List, Error> {
        self.list_with(patterns, Fields::VALUES)
    }

    /// Lists variables, in the order of their keys, with what is asked for.
    pub fn list_with(
        &mut self,
        patterns: impl Into<Patterns>,
        fields: Fields,
    ) -> Result<List, Error> {
        List::begin(&self.route, self.idle.take(), patterns.into(), fields)
    }

    /// Watches variables: tells their present state, then every change.
    ///
    /// When this returns, no later change goes unnoticed. The watch has a connection of its own;
    /// the client can be used while it lasts.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// # use globstash::Change;
    /// client.set("player/volume", "0.5")?;
    /// let mut watch = client.watch("player/")?;
    /// # client.delete("player/volume")?;
    /// for event in watch {
    ///     let event = event?;
    ///     match event.change {
    ///         Change::Set => println!("{} is {:?}", event.key, event.value),
    ///         _ => break,
    ///     }
    /// }
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn watch(&mut self, patterns: impl Into<Patterns>) -> Result<Watch, Error> {
        self.watch_with(patterns, Start::Present, Fields::VALUES)
    }

    /// Watches variables from the present state, from now on, or from where an earlier watch was,
    /// and tells what is asked for.
    pub fn watch_with(
        &mut self,
        patterns: impl Into<Patterns>,
        start: Start,
        fields: Fields,
    ) -> Result<Watch, Error> {
        let (route, idle) = (self.route.clone(), self.idle.take());
        Watch::begin(route, idle, patterns.into(), start, fields)
    }

    /// Who looks after the service, as far as can be told from here.
    #[cfg(feature = "command")]
    pub(crate) fn keeper(&self) -> Keeper {
        let keeper = self.idle.as_ref().map(Keeper::of);
        keeper.and_then(Result::ok).unwrap_or(Keeper::Unknown)
    }

    /// Gives the service so long for each answer from now on, as [`Options::timeout`] does.
    #[cfg(feature = "command")]
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.route.options = self.route.options.clone().timeout(timeout);
    }

    /// Asks how the service is doing.
    pub fn status(&mut self) -> Result<Status, Error> {
        let args = generated::GetStatus_Args {};
        let reply: generated::GetStatus_Reply = self.call("GetStatus", &args, Purpose::Read)?;
        Ok(reply.into())
    }

    /// A call with one reply.
    fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        args: &impl Serialize,
        purpose: Purpose,
    ) -> Result<R, Error> {
        let request = request(method, args, Replies::One);
        if request.len() > MESSAGE_MAX {
            let (size, maximum) = (request.len() as u64, MESSAGE_MAX as u64);
            return Err(Error::RequestTooLarge { size, maximum });
        }
        let (connection, reply) = self.route.call(self.idle.take(), &request, purpose)?;
        self.idle = Some(connection);
        reply.map(|reply| reply.parameters)
    }

    fn nonsense(&self, what: impl Into<String>) -> Error {
        self.route.nonsense(what)
    }
}
