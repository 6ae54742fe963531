//! What the map is compared with.

use std::io;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::reader::{EntryHandle, Reader};
use iceoryx2::service::ipc;
use iceoryx2::service::port_factory::blackboard::PortFactory;

use crate::keys::{key, value};
use crate::map;
use crate::subject;

/// Something that has the value of a key.
pub trait Get {
    /// Copies the value of a key out; false if it has none.
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool>;
}

/// Something in which a key can be given a value.
pub trait Set {
    fn set(&mut self, key: &[u8; 16], value: &[u8]) -> io::Result<()>;
}

impl Get for map::Reader<map::View> {
    #[inline]
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool> {
        match self.get(key, value) {
            map::Answer::Found(_) => Ok(true),
            map::Answer::Absent => Ok(false),
            answer => Err(io::Error::other(format!("{answer:?}"))),
        }
    }
}

/// As programs read it.
impl Get for globstash::Attached {
    #[inline]
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool> {
        match self.get_into(text(key), value) {
            Ok(revision) => Ok(revision.is_some()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Set for map::Map {
    fn set(&mut self, key: &[u8; 16], value: &[u8]) -> io::Result<()> {
        subject::set(self, key, value)
    }
}

/// "A `HashMap` in my process."
pub type HashMap = hashbrown::HashMap<String, String>;

fn text(key: &[u8; 16]) -> &str {
    // SAFETY: all keys of the bench are ASCII; checking them would be counted against the peer.
    unsafe { std::str::from_utf8_unchecked(key) }
}

impl Get for HashMap {
    #[inline]
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool> {
        let Some(found) = self.get(text(key)) else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(found.as_bytes());
        Ok(true)
    }
}

impl Set for HashMap {
    fn set(&mut self, key: &[u8; 16], value: &[u8]) -> io::Result<()> {
        let value = str::from_utf8(value).map_err(io::Error::other)?.to_owned();
        match self.get_mut(text(key)) {
            Some(old) => *old = value,
            None => drop(self.insert(text(key).to_owned(), value)),
        }
        Ok(())
    }
}

/// LMDB on a file system in memory, a transaction for each operation, and nothing ever synced.
pub struct Lmdb {
    environment: Env,
    database: Database<Bytes, Bytes>,
    _directory: tempfile::TempDir,
}

impl Lmdb {
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::tempdir_in("/dev/shm")?;
        let mut options = EnvOpenOptions::new();
        options.map_size(4 << 30);
        // SAFETY: nobody else opens a directory that was just made, and what a power failure would
        // do to it does not matter.
        let environment = unsafe {
            options.flags(EnvFlags::WRITE_MAP | EnvFlags::NO_SYNC);
            options.open(directory.path()).map_err(io::Error::other)?
        };
        let mut transaction = environment.write_txn().map_err(io::Error::other)?;
        let database = environment
            .create_database(&mut transaction, None)
            .map_err(io::Error::other)?;
        transaction.commit().map_err(io::Error::other)?;
        Ok(Self {
            environment,
            database,
            _directory: directory,
        })
    }

    pub fn filled(numbers: impl IntoIterator<Item = usize>) -> io::Result<Self> {
        let new = Self::new()?;
        let mut transaction = new.environment.write_txn().map_err(io::Error::other)?;
        for number in numbers {
            let (key, value) = (key(number), value(number));
            new.database
                .put(&mut transaction, key.as_bytes(), value.as_bytes())
                .map_err(io::Error::other)?;
        }
        transaction.commit().map_err(io::Error::other)?;
        Ok(new)
    }
}

impl Get for Lmdb {
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool> {
        let transaction = self.environment.read_txn().map_err(io::Error::other)?;
        let found = self
            .database
            .get(&transaction, key)
            .map_err(io::Error::other)?;
        let Some(found) = found else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(found);
        Ok(true)
    }
}

impl Set for Lmdb {
    fn set(&mut self, key: &[u8; 16], value: &[u8]) -> io::Result<()> {
        let mut transaction = self.environment.write_txn().map_err(io::Error::other)?;
        self.database
            .put(&mut transaction, key, value)
            .map_err(io::Error::other)?;
        transaction.commit().map_err(io::Error::other)
    }
}

/// A blackboard of iceoryx2, whose keys and their types are fixed when it is made.
pub struct Blackboard {
    reader: Reader<ipc::Service, [u8; 16]>,
    _service: PortFactory<ipc::Service, [u8; 16]>,
    _node: Node<ipc::Service>,
}

pub type BlackboardHandle = EntryHandle<ipc::Service, [u8; 16], [u8; 16]>;

impl Blackboard {
    pub fn filled(count: usize) -> io::Result<Self> {
        iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Fatal);
        let node = NodeBuilder::new()
            .create::<ipc::Service>()
            .map_err(io::Error::other)?;
        let name = format!("globstash-bench-{}", std::process::id());
        let name = name.as_str().try_into().map_err(io::Error::other)?;
        let mut service = node.service_builder(&name).blackboard_creator::<[u8; 16]>();
        for number in 0..count {
            let sixteen = |text: String| text.into_bytes().try_into().expect("16 bytes");
            service = service.add::<[u8; 16]>(sixteen(key(number)), sixteen(value(number)));
        }
        let service = service.create().map_err(io::Error::other)?;
        let reader = service
            .reader_builder()
            .create()
            .map_err(io::Error::other)?;
        Ok(Self {
            reader,
            _service: service,
            _node: node,
        })
    }

    pub fn handle(&self, key: &[u8; 16]) -> io::Result<BlackboardHandle> {
        self.reader.entry(key).map_err(io::Error::other)
    }
}

impl Get for Blackboard {
    fn get(&self, key: &[u8; 16], value: &mut Vec<u8>) -> io::Result<bool> {
        let Ok(handle) = self.reader.entry::<[u8; 16]>(key) else {
            return Ok(false);
        };
        value.clear();
        value.extend_from_slice(&*handle.get());
        Ok(true)
    }
}
