//! Several changes at once, all of them or none.

use std::ffi::{c_char, c_int, c_void};
use std::slice;

use libc::size_t;

use crate::client::{Batch, Error};

use super::arguments::{key as read_key, milliseconds, missing, stash as of, text, text_or_bytes};
use super::calls::changed;
use super::failure::{Code, Failure, guard};
use super::stash::Stash;
use super::terms::Condition;

/// What is done with a variable: the `kind` of a globstash_step.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// Nothing; the step is there for its condition.
    Check = 1,
    /// It is defined, or its value is replaced.
    Set = 2,
    /// It is deleted, if it is there.
    Delete = 3,
    /// A number is added to the one that it holds.
    Increment = 4,
}

/// One of the changes that globstash_apply() makes. What is left out of an initialiser is zero, and
/// asks for nothing; what a step of this kind has no use for must be zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// GLOBSTASH_DO_SET or another of these.
    pub kind: c_int,
    /// Zero.
    pub reserved_int: c_int,
    /// Of which variable.
    pub key: *const c_char,
    /// Only if the variable is like this before the first of all steps; else none of them is done, and
    /// it is GLOBSTASH_ERROR_CONDITION.
    pub only_if: Condition,
    /// For GLOBSTASH_DO_SET: the value, a text.
    pub value: *const c_char,
    /// Or any bytes. If both are NULL, an empty value is set.
    pub data: *const c_void,
    /// How many bytes `data` has.
    pub length: size_t,
    /// For GLOBSTASH_DO_SET: it is deleted after so many milliseconds, see globstash_terms; 0: it stays.
    pub ttl_ms: i64,
    /// For GLOBSTASH_DO_INCREMENT: the number to add, such as "1" or "-0.25", see globstash_increment_at().
    pub by: *const c_char,
    /// Zero.
    pub reserved: [u64; 4],
}

/// Makes several changes at once: all of them or, if one condition does not hold or one change cannot
/// be made, none. Nobody ever sees some of them without the others, and those who watch are told all
/// of them together.
///
///     globstash_step take[] = {
///         { .kind = GLOBSTASH_DO_DELETE, .key = "queue/1", .only_if = { .kind = GLOBSTASH_IF_DEFINED } },
///         { .kind = GLOBSTASH_DO_SET, .key = "taken/1", .value = "wash up" },
///         { .kind = GLOBSTASH_DO_INCREMENT, .key = "count/taken", .by = "1" },
///     };
///     int result = globstash_apply(GLOBSTASH_DEFAULT, take, 3, NULL);
///
/// `steps`: `count` of them, up to 4,096. All conditions are looked at before the first change; then the
/// changes are made in this order, each seeing those before it. All get one revision. What the steps lead
/// to stays the caller's, and needs to be there only until this returns.
///
/// `revision`, if it is not NULL, is that of the change; if nothing changed, that of the last change of
/// any variable. With GLOBSTASH_ERROR_CONDITION it is the one that the variable has which was not as it
/// had to be, 0 if it is not defined; globstash_error_key() tells which that is.
///
/// All steps together may be up to 16 MiB, as they are sent: control characters in texts take six bytes
/// there. What is more is GLOBSTASH_ERROR_ARGUMENT.
///
/// Returns 0, or a negative number if it fails. The text says which step is meant, the first is steps[0], or
/// which key; only of several numbers to add it does not say which is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn globstash_apply(
    stash: *mut Stash,
    steps: *const Step,
    count: size_t,
    revision: *mut u64,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let (stash, batch) = unsafe { (of(stash)?, batch(steps, count)?) };
        let applied = stash.ask(|client| client.apply(batch));
        if matches!(&applied, Err(Error::InvalidParameter { .. })) {
            return Err(wrong(NO_NUMBER));
        }
        // SAFETY: passed on to the caller.
        unsafe { changed(applied, revision) }?;
        Ok(0)
    })
}

/// All that the service can find wrong with steps that were looked at here. It does not say which.
const NO_NUMBER: &str =
    "the `by` of a step is no number such as 1, -12 or 0.25, with up to 18 digits";

/// All steps.
///
/// # Safety
///
/// It is NULL, or leads to so many steps, whose pointers are NULL or lead to what they should.
unsafe fn batch(steps: *const Step, count: size_t) -> Result<Batch, Failure> {
    if count == 0 {
        return Ok(Batch::new());
    }
    if steps.is_null() {
        return Err(missing("array of steps"));
    }
    if count > MOST {
        return Err(wrong(format!(
            "{count} steps are too many: {MOST} can be made at once"
        )));
    }
    // SAFETY: passed on to the caller; so many are no more bytes than a slice can have.
    let steps = unsafe { slice::from_raw_parts(steps, count) };
    let mut batch = Batch::new();
    for (index, step) in steps.iter().enumerate() {
        // SAFETY: passed on to the caller.
        batch = unsafe { step.add_to(batch) }.map_err(|failure| failure.of_step(index))?;
    }
    Ok(batch)
}

/// The most that the service takes: io.globstash.varlink, `Apply`.
const MOST: usize = 4096;

impl Step {
    /// Asks for this, too.
    ///
    /// # Safety
    ///
    /// Its pointers are NULL, or lead to what they should.
    unsafe fn add_to(&self, batch: Batch) -> Result<Batch, Failure> {
        // What a later version adds must not be left out in silence.
        if self.reserved_int != 0 || self.reserved != [0; 4] {
            return Err(wrong("reserved fields of globstash_step are not zero"));
        }
        self.has_only_what_it_uses()?;
        // SAFETY: passed on to the caller.
        let (key, condition) = unsafe { (read_key(self.key)?, self.only_if.read()?) };
        let is_check = self.kind == Do::Check as c_int;
        let batch = match condition {
            Some(condition) => batch.check(key, condition),
            None if is_check => return Err(wrong("there is nothing to check: only_if is zero")),
            None => batch,
        };
        match self.kind {
            _ if is_check => Ok(batch),
            kind if kind == Do::Delete as c_int => Ok(batch.delete(key)),
            kind if kind == Do::Set as c_int => {
                // SAFETY: passed on to the caller.
                let value = unsafe { text_or_bytes(self.value, self.data, self.length) }?;
                match self.ttl_ms {
                    0 => Ok(batch.set(key, value)),
                    ttl => match milliseconds(ttl) {
                        Some(ttl) => Ok(batch.set_for(key, value, ttl)),
                        None => Err(wrong("ttl_ms is negative")),
                    },
                }
            }
            kind if kind == Do::Increment as c_int => {
                // SAFETY: passed on to the caller.
                let by = unsafe { text(self.by, "number", Code::Argument) }?;
                Ok(batch.increment(key, by))
            }
            kind => Err(wrong(format!("there is no step of kind {kind}"))),
        }
    }

    /// Whoever sets what is for another kind has mistaken the one for the other.
    fn has_only_what_it_uses(&self) -> Result<(), Failure> {
        let has_value = !self.value.is_null() || !self.data.is_null() || self.length != 0;
        if (has_value || self.ttl_ms != 0) && self.kind != Do::Set as c_int {
            let these = "value, data, length and ttl_ms are for GLOBSTASH_DO_SET";
            return Err(wrong(these));
        }
        if !self.by.is_null() && self.kind != Do::Increment as c_int {
            return Err(wrong("by is for GLOBSTASH_DO_INCREMENT"));
        }
        Ok(())
    }
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure::new(Code::Argument, what)
}
