//! What a variable must be like, and on which terms it is set, as C says it.

use std::ffi::{c_char, c_int, c_void};

use libc::size_t;

use crate::client::{self, Revision, Until};

use super::arguments::{milliseconds, text_or_bytes};
use super::failure::{Code, Failure};

/// What a variable must be like: the `kind` of a globstash_condition.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If {
    /// Like anything: no condition.
    Any = 0,
    /// It must be defined.
    Defined = 1,
    /// It must not be defined.
    Undefined = 2,
    /// Its last change must have been `revision`; 0: it must not be defined.
    Revision = 3,
    /// It must have the value `value`.
    Value = 4,
    /// Its last change must be another one than `revision`, also if it is gone. Only to wait for.
    Changed = 5,
}

/// What a variable must be like for a change to be made, or for a wait to end. What is left out of
/// an initialiser is zero, and is not looked at:
///
///     globstash_condition free = { .kind = GLOBSTASH_IF_UNDEFINED };
///     globstash_condition same = { .kind = GLOBSTASH_IF_REVISION, .revision = revision };
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// GLOBSTASH_IF_ANY or another of these.
    pub kind: c_int,
    /// For GLOBSTASH_IF_REVISION and GLOBSTASH_IF_CHANGED.
    pub revision: u64,
    /// For GLOBSTASH_IF_VALUE: the value, a text.
    pub value: *const c_char,
    /// Or any bytes. If both are NULL, an empty value is meant.
    pub data: *const c_void,
    /// How many bytes `data` has.
    pub length: size_t,
}

/// What becomes of the protection of a variable: `protection` of globstash_terms.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It stays as it is.
    Keep = 0,
    /// Only the caller's user and root may change or delete the variable from now on.
    Protect = 1,
    /// Everybody may.
    Unprotect = 2,
}

/// On which terms a variable is set. What is left out of an initialiser is zero, and asks for
/// nothing:
///
///     globstash_terms lease = { .ttl_ms = 30000, .only_if = { .kind = GLOBSTASH_IF_UNDEFINED } };
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Only if the variable is like this before; else it is GLOBSTASH_ERROR_CONDITION.
    pub only_if: Condition,
    /// It is deleted after so many milliseconds, unless it is set again before; 0: it stays. Time
    /// goes on while the machine sleeps.
    pub ttl_ms: i64,
    /// It is deleted when the process with this ID ends; 0: it stays. GLOBSTASH_OWN_PROCESS: the
    /// calling one.
    pub pid: i64,
    /// GLOBSTASH_PROTECTION_KEEP or another of these.
    pub protection: c_int,
    /// Zero.
    pub reserved_int: c_int,
    /// Zero.
    pub reserved: [u64; 4],
}

/// As a `pid` of globstash_terms: the process that calls.
pub const GLOBSTASH_OWN_PROCESS: i64 = -1;

impl Condition {
    /// What it is for a change; `None` if it is none.
    ///
    /// # Safety
    ///
    /// Its value is NULL, or has its length.
    pub(super) unsafe fn read(&self) -> Result<Option<client::Condition>, Failure> {
        let condition = match self.kind {
            kind if kind == If::Any as c_int => return Ok(None),
            kind if kind == If::Defined as c_int => client::Condition::defined(),
            kind if kind == If::Undefined as c_int => client::Condition::undefined(),
            kind if kind == If::Revision as c_int => {
                client::Condition::revision(Revision(self.revision))
            }
            // SAFETY: passed on to the caller.
            kind if kind == If::Value as c_int => {
                let value = unsafe { text_or_bytes(self.value, self.data, self.length) };
                client::Condition::value(value?)
            }
            kind if kind == If::Changed as c_int => {
                return Err(wrong("GLOBSTASH_IF_CHANGED is only for waiting"));
            }
            kind => return Err(wrong(format!("there is no condition of kind {kind}"))),
        };
        Ok(Some(condition))
    }

    /// What it is to wait for.
    ///
    /// # Safety
    ///
    /// Its value is NULL, or has its length.
    pub(super) unsafe fn until(&self) -> Result<Until, Failure> {
        if self.kind == If::Changed as c_int {
            return Ok(Until::changed_from(Revision(self.revision)));
        }
        // SAFETY: passed on to the caller.
        match unsafe { self.read() }? {
            Some(condition) => Ok(Until::holds(condition)),
            None => Err(wrong(
                "there is nothing to wait for: the kind is GLOBSTASH_IF_ANY",
            )),
        }
    }
}

impl Terms {
    /// What they are.
    ///
    /// # Safety
    ///
    /// Their condition is as it says.
    pub(super) unsafe fn read(&self) -> Result<client::Terms, Failure> {
        // What a later version adds must not be left out in silence.
        if self.reserved_int != 0 || self.reserved != [0; 4] {
            return Err(wrong("reserved fields of globstash_terms are not zero"));
        }
        let mut terms = client::Terms::new();
        // SAFETY: passed on to the caller.
        if let Some(condition) = unsafe { self.only_if.read() }? {
            terms = terms.only_if(condition);
        }
        if self.ttl_ms != 0 {
            let ttl = milliseconds(self.ttl_ms);
            terms = terms.ttl(ttl.ok_or_else(|| wrong("ttl_ms is negative"))?);
        }
        terms = match (self.pid, u32::try_from(self.pid)) {
            (0, _) => terms,
            (GLOBSTASH_OWN_PROCESS, _) => terms.own_process(),
            (_, Ok(pid)) => terms.process(pid),
            (pid, Err(_)) => return Err(wrong(format!("{pid} is no process ID"))),
        };
        match self.protection {
            it if it == Protection::Keep as c_int => Ok(terms),
            it if it == Protection::Protect as c_int => Ok(terms.protected()),
            it if it == Protection::Unprotect as c_int => Ok(terms.unprotected()),
            it => Err(wrong(format!("there is no protection {it}"))),
        }
    }
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::new(Code::Argument, text)
}
