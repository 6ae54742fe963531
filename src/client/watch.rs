//! A watch: what happens to variables, over the end of connections and services.
//!
//! The service keeps no queue for a watch, only a number: the revision up to which it has seen
//! everything. The same number is what a watch resumes with when its connection is lost. If the
//! service cannot tell any more what was deleted since then, it says `reset` and tells the whole
//! present state instead. Nobody who uses a [`Watch`] sees that: the keys that it has told are
//! remembered, so that it can tell itself which ones are gone, and what it has told before is not
//! told again.

use std::collections::{HashSet, VecDeque};
use std::iter;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use serde_derive::Deserialize;

use crate::wire::key;

use super::absence::{Absence, Alarm, Asked};
use super::connection::{Broken, Connection, Expect};
use super::entry::{self, Change, Event, Revision, Writer};
use super::error::Error;
use super::generated::{self, Watch_Args};
use super::message::{self, Problem, Replies, Reply};
use super::question::{Fields, Patterns, Position, Start};
use super::route::{Outage, Purpose, Route};

/// Room for this many keys or events is not worth giving back; a reply seldom holds more.
const ROOM: usize = 4096;

/// What happens to variables: see [`Client::watch`](crate::Client::watch).
///
/// As an iterator it gives one change after the other, in the order in which they were made, and
/// sleeps while there is none. It never ends by itself, but with an error; after that nothing more
/// comes.
///
/// A watch that is not asked for a while costs nothing and misses intermediate values, never the
/// last one: [`Watch::skipped`].
///
/// If the connection is lost, it goes on where it was as soon as the service is back. There may be
/// no service for up to 5 s, and again once it has served for 5 s; after that the error says why
/// there is none. Nothing is told twice then, and variables that are gone by then are told as
/// deleted. For this it remembers the keys that it has told, for as long as their variables are
/// there: it grows with the number of variables that match, not with that of their changes. A watch
/// that told no present state knows less: see [`Start::Now`].
///
/// # Beside other things to wait for
///
/// A watch has a descriptor, to be used with `poll` and its like, and [`Watch::try_next`], which
/// does not sleep. The descriptor tells of what has not been received, and, while the service is
/// away, of when to look for it again: take everything that `try_next` gives before waiting for it.
/// It may be another one afterwards.
#[derive(Debug)]
pub struct Watch {
    route: Route,
    args: Watch_Args,
    connection: Connection,
    /// Since when the service has told all that there is to tell, over this connection.
    served_since: Option<Instant>,
    /// The last time that it was away, if it has not served for long since.
    outage: Option<Outage>,
    /// That it is away now.
    absence: Option<Absence>,
    /// Wakes those who wait for the descriptor to the next attempt. Made when there is the first.
    alarm: Option<Alarm>,
    /// Up to where it had seen everything when it was last lost.
    lost_at: Option<Option<Revision>>,
    state: State,
    has_failed: bool,
}

/// What a watch knows: replies in, events out.
#[derive(Debug)]
struct State {
    /// What was handed out adds up to this.
    position: Position,
    /// Whether that waits for the end of a present state: only then is told what is gone.
    is_resetting: bool,
    /// Empty before the first reply, unless there was an earlier watch.
    instance: String,
    /// From where to go on.
    cursor: Option<Revision>,
    /// Up to where everything was told.
    told: Revision,
    /// The keys that were told and are defined.
    known: HashSet<String>,
    /// Those of them of which it is not known, since a reset, whether they still are.
    doubtful: HashSet<String>,
    events: VecDeque<Event>,
    is_up_to_date: bool,
    /// Up to the last time that it was up to date, and since then.
    skipped: (u64, u64),
}

/// The generated type does not do: there may be other kinds of changes some day, all of which end
/// a variable, and a watch may live longer than the service that it began with.
#[derive(Deserialize)]
struct WireEvent {
    change: String,
    key: String,
    value: Option<String>,
    data: Option<String>,
    revision: i64,
    writer: Option<generated::Writer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReply {
    events: Vec<WireEvent>,
    revision: i64,
    instance: Option<String>,
    reset: Option<bool>,
    up_to_date: Option<bool>,
    skipped: Option<i64>,
}

impl Watch {
    pub(super) fn begin(
        route: Route,
        idle: Option<Connection>,
        Patterns(patterns): Patterns,
        start: Start,
        fields: Fields,
    ) -> Result<Watch, Error> {
        #[allow(non_snake_case, reason = "the name that it has on the wire")]
        let (keysOnly, metadata) = fields.into_wire();
        let mut args = Watch_Args {
            patterns,
            initial: None,
            afterRevision: None,
            instance: None,
            keysOnly,
            metadata,
        };
        let mut state = State::new();
        match start {
            Start::Present => args.initial = Some(true),
            Start::Now => {}
            Start::After { position, keys } => {
                keys.iter().try_for_each(|key| can_be(key))?;
                args.afterRevision = Some(position.revision.into_wire());
                args.instance = Some(position.instance.clone());
                state.go_on(position, keys);
            }
        }
        let request = message::request("Watch", &args, Replies::Many);
        let (connection, reply) = route.call(idle, &request, Purpose::Read)?;
        let reply = reply?;
        state.doubt(&reply.parameters, || revision(&route))?;
        let mut watch = Watch {
            route,
            args,
            connection,
            served_since: None,
            outage: None,
            absence: None,
            alarm: None,
            lost_at: None,
            state,
            has_failed: false,
        };
        watch.take_in(reply)?;
        Ok(watch)
    }

    /// The next change if it is there already; `None` if there is nothing to tell at this moment.
    ///
    /// Does not sleep.
    pub fn try_next(&mut self) -> Option<Result<Event, Error>> {
        self.guarded(|watch| {
            while watch.state.events.is_empty() && watch.try_receive()? {}
            Ok(watch.state.hand_out())
        })
    }

    /// Everything that there is to tell until what was told adds up to the present state. Of a
    /// new watch that is the present state itself.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// client.set("config/mode", "auto")?;
    /// let mut watch = client.watch("config/")?;
    /// let state = watch.catch_up()?;
    /// assert_eq!(state.len(), 1);
    /// assert!(watch.is_up_to_date());
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn catch_up(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let position = self.state.position.clone();
        let caught_up = self.guarded(|watch| {
            loop {
                events.extend(iter::from_fn(|| watch.state.hand_out()));
                if watch.state.is_up_to_date {
                    return Ok(Some(()));
                }
                watch.receive()?;
            }
        });
        let caught_up = caught_up.unwrap_or(Ok(()));
        if let Err(error) = &caught_up {
            self.state.position = position;
            if matches!(error, Error::Interrupted) {
                self.state.take_back(mem::take(&mut events));
            }
        }
        caught_up.map(|()| events)
    }

    /// Up to where everything was told that this watch has given: where another can go on, with
    /// [`Start::After`], when this one or its program has ended.
    ///
    /// It moves when all events of a change were given, and while the service tells its present
    /// state after an outage, at the end of that. Whoever keeps it together with what was made of
    /// the events loses none: in the worst case the last ones are told again.
    ///
    /// ```
    /// # let mut client = globstash::Client::at(globstash::daemon::example::start())?;
    /// let mut watch = client.watch("config/")?;
    /// client.set("config/mode", "auto")?;
    /// while let Some(event) = watch.next() {
    ///     let revision = event?.revision;
    ///     assert_eq!(watch.position().revision, revision);
    /// #   break;
    /// }
    /// assert_eq!(watch.position().instance, client.status()?.instance);
    /// # Ok::<(), globstash::Error>(())
    /// ```
    pub fn position(&self) -> Position {
        self.state.position.clone()
    }

    /// Whether what was told adds up to the present state, as far as is known: whether nothing is
    /// left to tell.
    pub fn is_up_to_date(&self) -> bool {
        self.state.is_up_to_date && self.state.events.is_empty()
    }

    /// How many changes were left out so far because newer ones took their place before they could
    /// be told. Changes made while the service was away are not counted.
    pub fn skipped(&self) -> u64 {
        self.state.skipped.0 + self.state.skipped.1
    }

    /// Does something that can fail, if nothing has failed before.
    fn guarded<T>(
        &mut self,
        act: impl FnOnce(&mut Watch) -> Result<Option<T>, Error>,
    ) -> Option<Result<T, Error>> {
        if self.has_failed {
            return None;
        }
        let result = act(self);
        let is_over = |error: &Error| !matches!(error, Error::Interrupted);
        self.has_failed = result.as_ref().is_err_and(is_over);
        result.transpose()
    }

    /// Which descriptor it has: two are the same only if these are. So many may have had one number.
    #[cfg(feature = "capi")]
    pub(crate) fn source(&self) -> (u64, bool) {
        (self.connection.number, self.waking().is_some())
    }

    /// Waits for the next reply.
    fn receive(&mut self) -> Result<(), Error> {
        if let Some(absence) = self.absence.take() {
            return self.resume(absence);
        }
        let reply = self.connection.receive(Expect::Event(None), message::reply);
        self.heard(reply)
    }

    /// Receives the next reply if it is there; false if nothing is.
    fn try_receive(&mut self) -> Result<bool, Error> {
        if let Some(absence) = self.absence.take() {
            return self.try_resume(absence);
        }
        let reply = self.connection.try_receive(message::reply).transpose();
        reply.map_or(Ok(false), |reply| self.heard(reply).map(|()| true))
    }

    fn heard(
        &mut self,
        reply: Result<Result<Reply<WireReply>, Problem>, Broken>,
    ) -> Result<(), Error> {
        match reply {
            Ok(Ok(reply)) => self.take_in(reply),
            Ok(Err(problem)) => Err(self.route.problem(problem)),
            Err(Broken::Lost) => {
                self.lose();
                Ok(())
            }
            Err(broken) => Err(self.route.broken(broken)),
        }
    }

    fn take_in(&mut self, reply: Reply<WireReply>) -> Result<(), Error> {
        self.state
            .take_in(reply.parameters)
            .map_err(|what| self.route.nonsense(what))?;
        if self.state.is_up_to_date {
            self.served_since.get_or_insert_with(Instant::now);
        }
        // The service has ended the watch, though not the connection.
        if !reply.continues {
            self.lose();
        }
        Ok(())
    }

    /// The service is away.
    fn lose(&mut self) {
        self.state.is_up_to_date = false;
        self.args.initial = self.args.initial.filter(|_| self.state.cursor.is_none());
        self.args.afterRevision = self.state.cursor.map(Revision::into_wire);
        self.args.instance = Some(self.state.instance.clone());
        let served = self.served_since.take();
        let served = served.map_or(Duration::ZERO, |since| since.elapsed());
        // A service that often goes, but gets on in between, is no reason to give up.
        let has_moved = self.lost_at.is_some_and(|lost| self.state.cursor != lost);
        self.lost_at = Some(self.state.cursor);
        let before = self.outage.take().filter(|_| !has_moved);
        self.absence = Some(Absence::begin(Outage::of_lost(served, before)));
    }

    /// Goes on where it was, on a new connection, as soon as there can be one.
    fn resume(&mut self, mut absence: Absence) -> Result<(), Error> {
        let answer = Expect::Answer(self.route.options.timeout);
        loop {
            let asked = match absence.asked.take() {
                Some(_) => Ok(()),
                None => {
                    self.connection = self.route.reopen(&mut absence.outage)?;
                    self.ask()
                }
            };
            let reply = asked.and_then(|()| self.connection.receive(answer, message::reply));
            if self.is_back(reply, &mut absence.outage)? {
                self.outage = Some(absence.outage);
                return Ok(());
            }
        }
    }

    /// The same without waiting: one attempt, if it is time for one; false if there is nothing yet.
    fn try_resume(&mut self, mut absence: Absence) -> Result<bool, Error> {
        if absence.is_due() {
            if self.attempt(&mut absence)? {
                self.outage = Some(absence.outage);
                return Ok(true);
            }
            let pause = absence.until_next()?;
            self.wake_in(pause)?;
        }
        self.absence = Some(absence);
        Ok(false)
    }

    fn attempt(&mut self, absence: &mut Absence) -> Result<bool, Error> {
        if absence.is_new() {
            return Ok(false);
        }
        if absence.asked.is_none() {
            match self.route.try_reopen(&mut absence.outage, Duration::ZERO) {
                Ok(Some(connection)) => self.connection = connection,
                Ok(None) => return Ok(false),
                // Too many want the same.
                Err(error @ Error::Silent { .. }) => {
                    absence.outage.because(error);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            if let Err(broken) = self.ask() {
                return self.is_back(Err(broken), &mut absence.outage);
            }
            absence.asked = Some(Asked::now());
        }
        let reply = self.connection.try_receive(message::reply).transpose();
        let (arrived, limit) = (self.connection.arrived(), self.route.options.timeout);
        let asked = absence.asked.as_mut();
        let reply = match reply {
            Some(reply) => reply,
            None if asked.is_some_and(|it| it.is_alive(arrived, limit)) => return Ok(false),
            None => Err(Broken::Silent),
        };
        absence.asked = None;
        self.is_back(reply, &mut absence.outage)
    }

    fn ask(&mut self) -> Result<(), Broken> {
        let request = message::request("Watch", &self.args, Replies::Many);
        self.connection.send(&request)
    }

    /// What the service has said first: whether it is there again.
    fn is_back(
        &mut self,
        reply: Result<Result<Reply<WireReply>, Problem>, Broken>,
        outage: &mut Outage,
    ) -> Result<bool, Error> {
        match reply {
            Ok(Ok(reply)) if reply.continues => self.take_in(reply).map(|()| true),
            // All callers come back at the same time.
            Ok(Err(Problem::Refused(error))) if error.may_pass() => {
                outage.because(error);
                Ok(false)
            }
            Ok(Err(problem)) => Err(self.route.problem(problem)),
            Ok(Ok(_)) | Err(Broken::Lost) => Ok(false),
            Err(broken) => Err(self.route.broken(broken)),
        }
    }

    fn wake_in(&mut self, pause: Duration) -> Result<(), Error> {
        let set = match &self.alarm {
            Some(alarm) => alarm.set(pause),
            None => Alarm::new().and_then(|alarm| self.alarm.insert(alarm).set(pause)),
        };
        let Route { address, options } = &self.route;
        set.map_err(|errno| Error::of_connecting(address, errno, options.timeout))
    }

    /// What wakes those who wait, if that is not the connection.
    fn waking(&self) -> Option<&Alarm> {
        let is_set = self.absence.as_ref().is_some_and(|it| !it.is_new());
        self.alarm.as_ref().filter(|_| is_set)
    }
}

impl Iterator for Watch {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        self.guarded(|watch| {
            while watch.state.events.is_empty() {
                watch.receive()?;
            }
            Ok(watch.state.hand_out())
        })
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.waking() {
            Some(alarm) => alarm.as_fd(),
            None => self.connection.as_fd(),
        }
    }
}

impl State {
    fn new() -> State {
        State {
            position: Position {
                revision: Revision::UNDEFINED,
                instance: String::new(),
            },
            is_resetting: false,
            instance: String::new(),
            cursor: None,
            told: Revision::UNDEFINED,
            known: HashSet::new(),
            doubtful: HashSet::new(),
            events: VecDeque::new(),
            is_up_to_date: false,
            skipped: (0, 0),
        }
    }

    /// What an earlier watch has told was told.
    fn go_on(&mut self, position: Position, keys: Vec<String>) {
        self.instance.clone_from(&position.instance);
        self.told = position.revision;
        self.known = keys.into_iter().collect();
        self.position = position;
    }

    /// Whether the position that it goes on from is one at all: what a program has kept may be damaged.
    /// If the service has not come to it yet, nothing was told.
    fn doubt(
        &mut self,
        first: &WireReply,
        revision: impl FnOnce() -> Result<Revision, Error>,
    ) -> Result<(), Error> {
        if first.reset != Some(true) || first.instance.as_ref() != Some(&self.instance) {
            return Ok(());
        }
        // In the midst of a present state it is not where the service is.
        let now = match first.up_to_date {
            Some(true) => Revision::from_wire(first.revision),
            _ => revision()?,
        };
        if now < self.told {
            self.told = Revision::UNDEFINED;
        }
        Ok(())
    }

    /// The next event, for the one who watches.
    fn hand_out(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match self.events.front() {
            None => self.has_told(),
            Some(next) if next.revision > event.revision && !self.is_resetting => {
                self.has_come_to(event.revision);
            }
            Some(_) => {}
        }
        Some(event)
    }

    /// What was handed out has not come to where it should.
    fn take_back(&mut self, events: Vec<Event>) {
        for event in events.into_iter().rev() {
            self.events.push_front(event);
        }
    }

    /// Everything that was taken in was handed out.
    fn has_told(&mut self) {
        self.is_resetting &= !self.is_up_to_date;
        if let (Some(cursor), false) = (self.cursor, self.is_resetting) {
            self.has_come_to(cursor);
        }
    }

    fn has_come_to(&mut self, revision: Revision) {
        self.position.revision = revision;
        self.position.instance.clone_from(&self.instance);
    }

    fn take_in(&mut self, reply: WireReply) -> Result<(), String> {
        if let Some(instance) = reply.instance
            && instance != self.instance
        {
            // Revisions begin anew with it.
            self.instance = instance;
            self.told = Revision::UNDEFINED;
        }
        if reply.reset == Some(true) {
            self.is_resetting = true;
            self.doubtful.extend(mem::take(&mut self.known));
        }
        if self.events.is_empty() {
            self.events.shrink_to(ROOM);
        }
        for event in reply.events {
            let event = event.read()?;
            self.doubtful.remove(&event.key);
            match event.change {
                Change::Set => self.known.insert(event.key.clone()),
                _ => self.forget(&event.key),
            };
            // After a reset also what has not changed since is told.
            if event.revision > self.told {
                self.events.push_back(event);
            }
        }
        let revision = Revision::from_wire(reply.revision);
        self.cursor = Some(revision);
        self.is_up_to_date = reply.up_to_date == Some(true);
        self.skipped.1 = reply.skipped.map_or(0, entry::natural);
        if self.is_up_to_date {
            self.told = revision;
            self.skipped = (self.skipped.0 + self.skipped.1, 0);
            self.tell_what_is_gone(revision);
        } else {
            self.told = self.told.max(revision);
        }
        if self.events.is_empty() {
            self.has_told();
        }
        Ok(())
    }

    /// A variable is gone. Gives back room that is left over, seldom enough to cost nothing.
    fn forget(&mut self, key: &str) -> bool {
        let was_known = self.known.remove(key);
        if self.known.capacity() > ROOM.max(8 * self.known.len()) {
            self.known.shrink_to(2 * self.known.len());
        }
        was_known
    }

    /// What was told before a reset and is not there after it.
    fn tell_what_is_gone(&mut self, revision: Revision) {
        let mut gone: Vec<String> = mem::take(&mut self.doubtful).into_iter().collect();
        gone.sort_unstable();
        self.events.extend(gone.into_iter().map(|key| Event {
            change: Change::Deleted,
            key,
            value: None,
            revision,
            writer: None,
        }));
    }
}

/// What is no key was never there, so nobody is told that it is gone.
fn can_be(key: &str) -> Result<(), Error> {
    key::check(key).map_err(|flaw| Error::InvalidKey {
        key: key.to_owned(),
        reason: flaw.to_string(),
    })
}

/// Where the service is now.
fn revision(route: &Route) -> Result<Revision, Error> {
    #[derive(Deserialize)]
    struct Status {
        revision: i64,
    }

    let request = message::request("GetStatus", &generated::GetStatus_Args {}, Replies::One);
    let (_, status) = route.call::<Status>(None, &request, Purpose::Read)?;
    Ok(Revision::from_wire(status?.parameters.revision))
}

impl WireEvent {
    fn read(self) -> Result<Event, String> {
        Ok(Event {
            change: match self.change.as_str() {
                "set" => Change::Set,
                "expired" => Change::Expired,
                "released" => Change::Released,
                _ => Change::Deleted,
            },
            key: self.key,
            value: entry::value(self.value, self.data)?,
            revision: Revision::from_wire(self.revision),
            writer: Writer::told(self.writer)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(change: &str, keys: impl Iterator<Item = usize>, revision: i64) -> WireReply {
        let event = |n| WireEvent {
            change: change.to_owned(),
            key: format!("job/{n}"),
            value: None,
            data: None,
            revision,
            writer: None,
        };
        WireReply {
            events: keys.map(event).collect(),
            revision,
            instance: None,
            reset: None,
            up_to_date: Some(true),
            skipped: None,
        }
    }

    /// What a watch takes in memory, in keys and events.
    fn room(state: &State) -> usize {
        state.known.capacity() + state.doubtful.capacity() + state.events.capacity()
    }

    /// The keys of variables that are gone were not kept, but the room that they had taken was, for
    /// as long as the watch lasts.
    #[test]
    fn a_watch_keeps_room_for_the_variables_that_there_are() {
        const MANY: usize = 100_000;

        let mut state = State::new();
        state.take_in(reply("set", 0..MANY, 1)).unwrap();
        state.events.clear();
        state.take_in(reply("deleted", 1..MANY, 2)).unwrap();
        state.events.clear();
        state.take_in(reply("set", 1..2, 3)).unwrap();
        assert_eq!(state.known.len(), 2);
        assert!(room(&state) < MANY / 10, "{} of {MANY}", room(&state));

        state.take_in(reply("set", 0..MANY, 4)).unwrap();
        state.events.clear();
        let mut reset = reply("set", 0..1, 5);
        reset.reset = Some(true);
        state.take_in(reset).unwrap();
        assert_eq!(
            state.events.len(),
            MANY,
            "one is there, the others are gone"
        );
        state.events.clear();
        state.take_in(reply("set", 1..2, 6)).unwrap();
        assert_eq!((state.known.len(), state.doubtful.len()), (2, 0));
        assert!(room(&state) < MANY / 10, "{} of {MANY}", room(&state));
    }
}
