//! The process in the background: starts the service, and again when it has crashed.
//!
//! It sleeps until something happens: a signal, a word from the service, its end, or the time to start
//! it again. It writes no variable and reads none.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process;

use super::has_callers;
use super::kept::Kept;
use super::pace::{Fate, Pace};
use crate::daemon::log::SUPERVISED;
use crate::sys::activation;
use crate::sys::channel;
use crate::sys::child::{Child, End, Program};
use crate::sys::listen::Bound;
use crate::sys::signals::{Signal, Signals};

/// How long a service that was asked to end may take, before it is killed; as in the systemd unit.
const STOP: Duration = Duration::from_secs(5);

/// All that there is to keep.
pub(super) struct Supervisor {
    bound: Bound,
    signals: Signals,
    /// The service, and the question whether the program that is there now could take its place.
    program: Program,
    check: Program,
    kept: Kept,
    pace: Pace,
    state: State,
    /// The process that answers that question, if one was asked.
    checking: Option<Child>,
    has_served: bool,
    /// Whether we were asked to end, and since when the service takes too long over it.
    ending: Option<Instant>,
}

enum State {
    Running(Service),
    /// The service is to be started then.
    Waiting(Instant),
    Over,
}

/// A process of the service.
struct Service {
    child: Child,
    /// Where its words come from, until it has closed it.
    channel: Option<OwnedFd>,
    since: Instant,
    is_ready: bool,
}

impl Supervisor {
    /// Starts the service.
    pub(super) fn begin(
        bound: Bound,
        signals: Signals,
        program: Program,
        check: Program,
    ) -> io::Result<Self> {
        let mut supervisor = Supervisor {
            bound,
            signals,
            program,
            check,
            kept: Kept::default(),
            pace: Pace::default(),
            state: State::Waiting(Instant::now()),
            checking: None,
            has_served: false,
            ending: None,
        };
        supervisor.start()?;
        Ok(supervisor)
    }

    /// Keeps the service until its end. Calls `announce` when it is ready for the first time; it is an
    /// error if that never happens.
    pub(super) fn run(mut self, announce: impl Fn() -> io::Result<()>) -> io::Result<()> {
        loop {
            self.wait()?;
            self.heed_signals();
            let was_waited_for = !self.has_served;
            self.heed_service()?;
            if self.has_served && was_waited_for {
                announce()?;
                log::info!("supervising the service");
            }
            self.heed_check();
            self.do_what_is_due();
            if let State::Over = self.state {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut events = vec![&self.signals as &dyn AsFd];
        if let State::Running(service) = &self.state {
            events.push(&service.child);
            events.extend(service.channel.iter().map(|channel| channel as &dyn AsFd));
        }
        events.extend(self.checking.iter().map(|check| check as &dyn AsFd));
        let mut events: Vec<PollFd<'_>> = events
            .iter()
            .map(|event| PollFd::from_borrowed_fd(event.as_fd(), PollFlags::IN))
            .collect();
        let due = match self.state {
            State::Waiting(until) => Some(until),
            _ => self.ending,
        };
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec::try_from(left).expect("some seconds fit"));
        retry_on_intr(|| poll(&mut events, left.as_ref()))?;
        Ok(())
    }

    // ---- what happens ----

    fn heed_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Stop => self.stop(),
                Signal::Reload => self.ask_for_check(),
            }
        }
    }

    /// Hears the service, and sees whether it has ended.
    fn heed_service(&mut self) -> io::Result<()> {
        let State::Running(service) = &mut self.state else {
            return Ok(());
        };
        // In this order: what it has said before its end counts.
        let end = service.child.end()?;
        while let Some(channel) = &service.channel {
            match channel::receive(channel.as_fd()) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    service.is_ready |= message.text.lines().any(|line| line == "READY=1");
                    self.kept.heed(message);
                }
                Err(_) => service.channel = None,
            }
        }
        self.has_served |= service.is_ready;
        match end {
            Some(end) => self.go_on_after(end),
            None => Ok(()),
        }
    }

    fn heed_check(&mut self) {
        let Some(check) = &self.checking else {
            return;
        };
        match (check.end(), &self.state) {
            (Ok(None), _) => return,
            (Ok(Some(End::Exited(0))), State::Running(service)) if self.ending.is_none() => {
                service.child.signal(process::Signal::HUP);
            }
            _ => log::error!("no other program takes over: the one that is there now could not"),
        }
        self.checking = None;
    }

    fn do_what_is_due(&mut self) {
        let is_due = |when: &Instant| *when <= Instant::now();
        match &self.state {
            State::Waiting(until) if is_due(until) => {
                if let Err(error) = self.start() {
                    log::error!("cannot start the service: {error}");
                    self.wait_before_start(Duration::ZERO, Fate::Failed);
                }
            }
            State::Running(service) if self.ending.as_ref().is_some_and(is_due) => {
                log::error!("killing the service: it does not end");
                service.child.signal(process::Signal::KILL);
                self.ending = Some(Instant::now() + STOP);
            }
            _ => {}
        }
    }

    // ---- what is done ----

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = channel::pair()?;
        let own = [
            (self.bound.as_fd(), activation::NAME),
            (theirs.as_fd(), channel::NAME),
        ];
        let descriptors: Vec<_> = own.into_iter().chain(self.kept.iter()).collect();
        let child = self.program.start(&descriptors, &environment())?;
        self.state = State::Running(Service {
            child,
            channel: Some(ours),
            since: Instant::now(),
            is_ready: false,
        });
        Ok(())
    }

    /// The service has ended: that is the end, or it is started again.
    fn go_on_after(&mut self, end: End) -> io::Result<()> {
        let State::Running(service) = &self.state else {
            return Ok(());
        };
        let fate = match service.is_ready {
            true => Fate::Served,
            false if end.is_by_others() => Fate::Killed,
            false => Fate::Failed,
        };
        let ran = service.since.elapsed();
        if self.ending.is_some() {
            self.state = State::Over;
        } else if !self.has_served {
            let problem = format!("the service has ended before it was ready: {end}");
            return Err(io::Error::other(problem));
        } else if end.is_clean() {
            self.kept.clear();
            // Whoever calls now calls the next one, as with systemd's socket.
            match has_callers(&self.bound) {
                true => self.wait_before_start(ran, fate),
                false => self.state = State::Over,
            }
        } else {
            log::error!("starting the service again, it has crashed: {end}");
            self.wait_before_start(ran, fate);
        }
        Ok(())
    }

    fn wait_before_start(&mut self, ran: Duration, fate: Fate) {
        let pause = self.pace.pause(ran, fate);
        self.state = State::Waiting(Instant::now() + pause);
    }

    /// Somebody has asked us to end: so does the service. Who calls meanwhile starts another.
    fn stop(&mut self) {
        self.bound.withdraw();
        match &self.state {
            State::Running(service) if self.ending.is_none() => {
                service.child.signal(process::Signal::TERM);
                self.ending = Some(Instant::now() + STOP);
            }
            State::Running(_) => {}
            State::Waiting(_) | State::Over => self.state = State::Over,
        }
    }

    /// Somebody has asked for the program that is installed now: it is asked first.
    fn ask_for_check(&mut self) {
        let State::Running(service) = &self.state else {
            return; // The next start is the one.
        };
        if self.checking.is_some() || self.ending.is_some() {
            return;
        }
        let process = service.child.id().as_raw_nonzero().to_string();
        let environment = [environment(), vec![("MAINPID", process)]].concat();
        match self.check.start(&[], &environment) {
            Ok(check) => self.checking = Some(check),
            Err(error) => log::error!("cannot ask another program to take over: {error}"),
        }
    }
}

/// All that a service inherits beside what the protocol passes.
fn environment() -> Vec<(&'static str, String)> {
    vec![(SUPERVISED, std::process::id().to_string())]
}
