//! Guises: connecting as several users, because the service allows each of them so many connections
//! and no more.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;

use crate::server::Server;

/// Connections of each user; the service's limit is 1,024.
const EACH: usize = 1_000;
/// The first of the users. They need not exist; nobody should really be one of them.
const FIRST: u32 = 0x6000_0000;

/// Whether this process may play other users.
pub fn is_possible() -> bool {
    geteuid().is_root()
}

/// Connects `size` times, as another user every [`EACH`] times.
pub fn connect(server: &Server, size: usize) -> io::Result<Vec<UnixStream>> {
    fs::set_permissions(server.address(), Permissions::from_mode(0o666))?;
    let mut sockets = Vec::with_capacity(size);
    for user in 0..size.div_ceil(EACH) {
        let _guise = Guise::of(FIRST + u32::try_from(user).expect("few users are enough"))?;
        for _ in 0..EACH.min(size - sockets.len()) {
            sockets.push(server.connect()?);
        }
    }
    Ok(sockets)
}

/// While it lives this thread connects as another user.
struct Guise;

impl Guise {
    fn of(user: u32) -> io::Result<Self> {
        set_thread_res_uid(None, Uid::from_raw(user), None)?;
        Ok(Self)
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        set_thread_res_uid(None, Uid::ROOT, None).expect("our real user is still root");
    }
}
