//! Where a service listens, in the words that people type.
//!
//! The command and the service take the same three forms: `unix:/path`, `/path`, and
//! `unix:@name` for a name in the abstract name space of Linux. An [`Address`] always has a form
//! that the kernel takes: what is too long or makes no sense is refused by [`Address::parse`].
//!
//! Which address is the right one where none is given is not decided here.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::net::SocketAddrUnix;

/// Longest path or name: `sun_path` of the kernel has 108 bytes, one of them for the NUL that
/// ends a path or begins an abstract name.
const LENGTH_MAX: usize = 107;

/// Where a service listens: at a path, or at a name in the abstract name space of Linux.
#[derive(Clone, Debug, Eq)]
pub struct Address {
    place: OsString,
    /// Whether it is where the user's own service is, and was not given by hand.
    is_own: bool,
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.place == other.place
    }
}

/// Why words are no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// Neither an absolute path nor an abstract name.
    Form,
    /// The kernel takes no more than 107 bytes.
    TooLong,
    /// A NUL, or the `;` that begins the parameters of a varlink address; we know none.
    Character,
}

impl Address {
    /// Reads `unix:/path`, `/path`, or `unix:@name`.
    pub fn parse(words: impl AsRef<OsStr>) -> Result<Address, InvalidAddress> {
        let words = words.as_ref().as_bytes();
        let place = match words {
            [b'/', ..] => words,
            [b'u', b'n', b'i', b'x', b':', place @ ..] => place,
            _ => return Err(InvalidAddress::Form),
        };
        match place {
            [] | [b'/'] | [b'@'] => return Err(InvalidAddress::Form),
            [b'/' | b'@', ..] => {}
            _ => return Err(InvalidAddress::Form),
        }
        let length = place.strip_prefix(b"@").unwrap_or(place).len();
        if length > LENGTH_MAX {
            return Err(InvalidAddress::TooLong);
        }
        if place.iter().any(|byte| matches!(byte, 0 | b';')) {
            return Err(InvalidAddress::Character);
        }
        Ok(Address {
            place: OsString::from_vec(place.to_vec()),
            is_own: false,
        })
    }

    /// The same, as that of the user's own service.
    pub(super) fn own(self) -> Address {
        Address {
            is_own: true,
            ..self
        }
    }

    /// The folder of the user's own service, unless the address was given by hand.
    pub(super) fn own_folder(&self) -> Option<&Path> {
        self.path().filter(|_| self.is_own)?.parent()
    }

    /// The address as the kernel takes it.
    pub(crate) fn to_socket_address(&self) -> SocketAddrUnix {
        match self.place.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            path => SocketAddrUnix::new(path),
        }
        .expect("`parse` checked the length and that there is no NUL")
    }

    /// The file of the socket; an abstract name has none.
    pub fn path(&self) -> Option<&Path> {
        let path = Path::new(&self.place);
        path.has_root().then_some(path)
    }

    /// `/path` or `@name`, for sentences.
    pub(crate) fn place(&self) -> &OsStr {
        &self.place
    }
}

impl TryFrom<&str> for Address {
    type Error = InvalidAddress;

    fn try_from(words: &str) -> Result<Address, InvalidAddress> {
        Address::parse(words)
    }
}

impl TryFrom<&Path> for Address {
    type Error = InvalidAddress;

    fn try_from(path: &Path) -> Result<Address, InvalidAddress> {
        Address::parse(path)
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

/// With the scheme, as varlinkctl takes it: `unix:/path`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "unix:{}", self.place.display())
    }
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            InvalidAddress::Form => f.write_str("an address is unix:/path, /path, or unix:@name"),
            InvalidAddress::TooLong => write!(f, "it is longer than {LENGTH_MAX} bytes"),
            InvalidAddress::Character => f.write_str("';' and NUL cannot be part of an address"),
        }
    }
}

impl std::error::Error for InvalidAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_with_and_without_the_scheme() {
        for words in ["/run/globstash", "unix:/run/globstash"] {
            let address = Address::parse(words).unwrap();
            assert_eq!(address.to_string(), "unix:/run/globstash");
            assert_eq!(address.place(), "/run/globstash");
            assert_eq!(address.path(), Some(Path::new("/run/globstash")));
            let socket = address.to_socket_address();
            assert_eq!(socket.path_bytes(), Some(b"/run/globstash".as_slice()));
        }
    }

    #[test]
    fn abstract_names_begin_with_an_at_sign() {
        let address = Address::parse("unix:@globstash").unwrap();
        assert_eq!(address.to_string(), "unix:@globstash");
        assert_eq!(address.path(), None);
        let socket = address.to_socket_address();
        assert_eq!(socket.abstract_name(), Some(b"globstash".as_slice()));
    }

    #[test]
    fn a_path_need_not_be_text() {
        let address = Address::parse(OsStr::from_bytes(b"/run/\xff")).unwrap();
        assert_eq!(address.place().as_bytes(), b"/run/\xff");
    }

    #[test]
    fn anything_else_is_refused() {
        use InvalidAddress::*;
        for (words, why) in [
            ("", Form),
            ("/", Form),
            ("unix:", Form),
            ("unix:@", Form),
            ("@globstash", Form),
            ("globstash", Form),
            ("./globstash", Form),
            ("unix:globstash", Form),
            ("tcp:127.0.0.1:1", Form),
            ("UNIX:/run/globstash", Form),
            ("unix:/run/globstash;mode=0600", Character),
            ("/run/\0", Character),
        ] {
            assert_eq!(Address::parse(words), Err(why), "{words:?}");
        }
    }

    #[test]
    fn the_longest_address_is_what_the_kernel_takes() {
        for prefix in ["/", "unix:/", "unix:@/"] {
            let longest = format!("{prefix}{}", "a".repeat(LENGTH_MAX - 1));
            Address::parse(&longest).unwrap().to_socket_address();
            let longer = Address::parse(longest + "a");
            assert_eq!(longer, Err(InvalidAddress::TooLong));
        }
    }
}
