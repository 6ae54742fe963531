//! Where the service is, if the caller does not say.

use std::env;

pub use crate::sys::address::{Address, InvalidAddress};
pub use crate::sys::place::NoUserAddress;

use crate::sys::place::Place;

use super::error::Error;

/// The environment variable that says where the service is.
const VARIABLE: &str = "GLOBSTASH_ADDRESS";

/// What the environment says, if it says anything.
pub(crate) fn of_environment() -> Result<Option<Address>, Error> {
    let address = env::var_os(VARIABLE).map(|words| {
        Address::parse(&words).map_err(|why| Error::InvalidEnvironment { words, why })
    });
    address.transpose()
}

/// What the environment says, or else the address of the service for all of the machine.
pub(crate) fn chosen() -> Result<Address, Error> {
    Ok(of_environment()?.unwrap_or_else(machine))
}

/// The address of the service for all of the machine.
pub(crate) fn machine() -> Address {
    crate::sys::place::machine()
}

/// The address of the user's own service.
pub(crate) fn user() -> Result<Address, NoUserAddress> {
    Place::User.address()
}

/// Whether the user's own service has a socket, so that it may be worth a try.
#[cfg(feature = "command")]
pub(crate) fn is_user_there() -> bool {
    user().is_ok_and(|address| address.path().is_some_and(|path| path.exists()))
}
