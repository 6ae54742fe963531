//! The parameters of Apply, as the store takes them.

use super::failure::Failure;
use super::interface::{self, Apply, Operation};
use super::parameters::{Ttl, read_condition, read_decimal, read_ttl, read_value};
use super::store::decimal::Decimal;
use super::store::{Action, Batch};
use crate::wire::object::Text;

/// The parameter that is wrong if anything of an operation is.
const OPERATIONS: &str = "operations";

/// Reads the parameters of Apply. How many there can be was seen to when the message was read.
pub(super) fn read_batch(parameters: &Apply<'_>) -> Result<Batch, Failure> {
    let mut batch = Batch::default();
    for check in parameters.checks.iter().flat_map(|checks| checks.iter()) {
        let condition = read_condition(&check.key, "checks", Some(&check.condition))?;
        batch
            .checks
            .push((check.key.to_string(), condition.into_owned()));
    }
    for operation in parameters.operations.iter() {
        let action = read_action(operation)?;
        batch.operations.push((operation.key.to_string(), action));
    }
    Ok(batch)
}

/// What an operation does. A field that is for another action is refused: it was meant for
/// something.
fn read_action(operation: &Operation<'_>) -> Result<Action, Failure> {
    let Operation {
        key,
        value,
        data,
        by,
        ttl_u_sec,
        ..
    } = operation;
    let wrong = || Err(Failure::parameter(OPERATIONS));
    let is_for_set = value.is_some() || data.is_some() || ttl_u_sec.is_some();
    match operation.action {
        interface::Action::Set if by.is_some() => wrong(),
        interface::Action::Set => match read_value(key, value, data, OPERATIONS)? {
            Some(value) => {
                let ttl: Ttl = read_ttl(OPERATIONS, *ttl_u_sec)?;
                Ok(Action::Set(value.into_owned(), ttl.deadline()))
            }
            None => wrong(),
        },
        _ if is_for_set => wrong(),
        interface::Action::Delete if by.is_some() => wrong(),
        interface::Action::Delete => Ok(Action::Delete),
        interface::Action::Increment => Ok(Action::Increment(amount(by)?)),
    }
}

fn amount(by: &Option<Text<'_>>) -> Result<Decimal, Failure> {
    Ok(read_decimal(OPERATIONS, by)?.unwrap_or(Decimal::ONE))
}
