//! What a user can do with the memory that the service gives to readers: nothing to anybody.
//!
//! She is a thread of this test that has become another user before it connected, so root has to run
//! it. The service is root's here; she could do no more to one of the user `globstash`.

mod common;

use std::ffi::{CString, c_int, c_long};
use std::fs::{Permissions, set_permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::{ptr, thread};

use globstash::Client;
use rustix::fs::{fcntl_get_seals, fstat};
use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;
use serde_json::json;

use common::{Daemon, call, frame};

const MALLORY: u32 = 20_003;

fn start() -> Daemon {
    assert!(geteuid().is_root(), "only root can be others");
    let daemon = Daemon::start();
    let allow = |path, mode| set_permissions(path, Permissions::from_mode(mode));
    allow(daemon.folder(), 0o755).expect("it is ours");
    allow(&daemon.socket(), 0o666).expect("it is ours");
    daemon
}

/// Does something as another user.
fn as_mallory<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let become_her = || {
        let uid = Uid::from_raw(MALLORY);
        set_thread_res_uid(uid, uid, uid).expect("we are root");
        act()
    };
    thread::scope(|scope| scope.spawn(become_her).join().expect("she is done"))
}

/// What a system call says.
fn said(result: c_long) -> Result<c_long, c_int> {
    match result {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        result => Ok(result),
    }
}

/// Everything that she tries which must be refused, and how that ends.
fn attempts(map: &OwnedFd, size: usize) -> Vec<(&'static str, Result<c_long, c_int>)> {
    let fd = map.as_raw_fd();
    let path = CString::new(format!("/proc/self/fd/{fd}")).expect("no NUL");
    let mine = CString::new("user.mine").expect("no NUL");
    let page = 4096;
    let times = [libc::timespec {
        tv_sec: 1,
        tv_nsec: 0,
    }; 2];
    let read_write = libc::PROT_READ | libc::PROT_WRITE;
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: none of these calls is given memory of ours, but for paths and times that are read.
    unsafe {
        let mapped = |protection, flags| {
            let place = libc::mmap(ptr::null_mut(), size, protection, flags, fd, 0);
            if place == libc::MAP_FAILED {
                -1
            } else {
                place as c_long
            }
        };
        let readable = mapped(libc::PROT_READ, libc::MAP_SHARED) as *mut libc::c_void;
        vec![
            (
                "map it for writing",
                said(mapped(read_write, libc::MAP_SHARED)),
            ),
            (
                "make it writable",
                said(libc::mprotect(readable, size, read_write).into()),
            ),
            (
                "open it for writing",
                said(libc::open(path.as_ptr(), libc::O_RDWR).into()),
            ),
            (
                "open it for appending",
                said(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_APPEND).into()),
            ),
            (
                "open and empty it",
                said(libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_TRUNC).into()),
            ),
            (
                "write",
                said(libc::pwrite(fd, path.as_ptr().cast(), 4, 0) as c_long),
            ),
            ("make it shorter", said(libc::ftruncate(fd, page).into())),
            (
                "make it shorter by name",
                said(libc::truncate(path.as_ptr(), page).into()),
            ),
            (
                "make it longer",
                said(libc::ftruncate(fd, size as i64 + page).into()),
            ),
            (
                "take memory for it",
                said(libc::fallocate(fd, 0, 0, page).into()),
            ),
            (
                "punch a hole",
                said(libc::fallocate(fd, punch, 0, page).into()),
            ),
            (
                "give memory back",
                said(libc::madvise(readable, size, libc::MADV_REMOVE).into()),
            ),
            ("change its mode", said(libc::fchmod(fd, 0o777).into())),
            (
                "make it hers",
                said(libc::fchown(fd, MALLORY, MALLORY).into()),
            ),
            (
                "seal it",
                said(libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE).into()),
            ),
            (
                "lease it",
                said(libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK).into()),
            ),
            (
                "set its times",
                said(libc::futimens(fd, times.as_ptr()).into()),
            ),
            (
                "set an attribute",
                said(libc::fsetxattr(fd, mine.as_ptr(), path.as_ptr().cast(), 4, 0).into()),
            ),
        ]
    }
}

/// What she may do, because nobody relies on that she does not: locks that nobody looks at, futexes
/// that nobody waits for, and reading what there is to read, and what is not there.
fn mischief(map: &OwnedFd, size: usize) {
    let fd = map.as_raw_fd();
    // SAFETY: the mapping is as long as it was asked to be; the words that are given to the kernel lie
    // within it.
    unsafe {
        said(libc::flock(fd, libc::LOCK_EX).into()).expect("a lock is hers");
        let protection = libc::PROT_READ;
        let place = libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, fd, 0);
        assert_ne!(place, libc::MAP_FAILED);
        let word = |n: usize| place.cast::<u32>().add(n);
        for n in [0, 16, 64, 1024] {
            let (wake, requeue) = (libc::FUTEX_WAKE, libc::FUTEX_CMP_REQUEUE);
            libc::syscall(libc::SYS_futex, word(n), wake, i32::MAX, 0, 0, 0);
            let present = word(n).read_volatile();
            libc::syscall(
                libc::SYS_futex,
                word(n),
                requeue,
                0,
                i32::MAX,
                word(2048),
                present,
            );
        }
        // Touches every hole, which takes memory for it.
        let bytes = place.cast::<u8>();
        let sum: u64 = (0..size)
            .step_by(4096)
            .map(|n| u64::from(bytes.add(n).read_volatile()))
            .sum();
        assert_ne!(sum, 0, "there is something to read");
    }
}

#[test]
fn a_reader_of_another_user_changes_nothing() {
    let daemon = start();
    let mut client = daemon.client();
    let stash = client.attach().unwrap();
    let mut values = Vec::new();
    for n in 0..100 {
        let (key, value) = (format!("key/{n}"), format!("value {n}").repeat(n + 1));
        client.set(&key, &value).unwrap();
        values.push((key, value));
    }
    let before = daemon.open_map();
    let size = fstat(&before).unwrap().st_size as usize;
    let state = |map: &OwnedFd| {
        let status = fstat(map).unwrap();
        let (seals, mode) = (fcntl_get_seals(map).unwrap(), status.st_mode);
        (status.st_size, mode, status.st_uid, status.st_gid, seals)
    };
    let untouched = state(&before);
    // Several at a time, of which each keeps what she has.
    let hers: Vec<OwnedFd> = (0..3)
        .map(|_| {
            as_mallory(|| {
                let map = daemon.open_map();
                for (attempt, end) in attempts(&map, size) {
                    assert!(end.is_err(), "she may {attempt}: {end:?}");
                }
                mischief(&map, size);
                map
            })
        })
        .collect();
    assert_eq!(state(&before), untouched);
    // The file takes no more than it can.
    let taken = fstat(&before).unwrap().st_blocks as usize * 512;
    assert!(taken <= size, "{taken} bytes of {size}");
    for (key, value) in &values {
        assert_eq!(stash.get(key).unwrap(), Some(value.into()));
        assert_eq!(client.get(key).unwrap(), Some(value.into()));
    }
    assert!(stash.is_mapped() && stash.is_served());
    // It is written on as before, and taken over as before.
    client.set("key/0", "new").unwrap();
    assert_eq!(stash.get("key/0").unwrap(), Some("new".into()));
    let (mut daemon, hers) = (daemon, hers);
    daemon.crash();
    assert_eq!(client.get("key/0").unwrap(), Some("new".into()));
    assert_eq!(stash.scan("**").unwrap().len(), 100);
    client.set("key/0", "newer").unwrap();
    assert_eq!(stash.get("key/0").unwrap(), Some("newer".into()));
    drop(hers);
}

/// The kernel counts descriptors that were sent and not taken as the sender's, up to its limit of open
/// files, and they lie there also when the connection is closed. Who opened one connection after the
/// other, asked for the map on each and ended it, took the map from everybody.
#[test]
fn descriptors_that_nobody_takes_are_in_nobodys_way() {
    use std::net::Shutdown;
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Resource, Rlimit, setrlimit};

    const SERVICE: u32 = 20_004;
    /// More than one user can have connections, and fewer than she tries.
    const OPEN_FILES: u64 = 1_200;
    let few = Some(OPEN_FILES);
    let few = Rlimit {
        current: few,
        maximum: few,
    };
    let daemon = Daemon::launch(|command, folder| {
        for path in [folder, &folder.join("notify")] {
            std::os::unix::fs::chown(path, Some(SERVICE), None).expect("we are root");
        }
        command.arg("--address").arg(folder.join("socket"));
        // SAFETY: one system call.
        unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, few)?)) };
        command.uid(SERVICE);
    });
    let allow = |path, mode| set_permissions(path, Permissions::from_mode(mode));
    allow(daemon.folder(), 0o755).expect("we are root");
    allow(&daemon.socket(), 0o666).expect("we are root");
    let question = frame(&call("io.globstash.OpenMap", json!({})));
    let hers: Vec<_> = as_mallory(|| {
        let ask = |_| {
            let stream = UnixStream::connect(daemon.socket()).expect("everybody may");
            rustix::io::write(&stream, &question).expect("it listens");
            stream.shutdown(Shutdown::Write).expect("it is connected");
            stream
        };
        (0..OPEN_FILES + 100).map(ask).collect()
    });
    // After all of hers were answered.
    let mut client = daemon.client();
    client.set("k", "v").unwrap();
    let stash = client.attach().unwrap();
    assert!(stash.is_mapped(), "there is none left");
    // What she takes, or gives up, is hers to ask for again.
    drop(hers);
    let own = || {
        let stream = UnixStream::connect(daemon.socket()).expect("everybody may");
        rustix::io::write(&stream, &question).expect("it listens");
        let mut buffer = [0; 4096];
        let length = rustix::io::read(&stream, &mut buffer).expect("a reply");
        !String::from_utf8_lossy(&buffer[..length]).contains("LimitExceeded")
    };
    common::eventually("she has connections again", || as_mallory(own));
}

/// With leave to write, or of what could become shorter, or of another kind: nobody maps that.
#[test]
fn a_map_that_could_do_harm_is_not_taken() {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("impostor");
    let listener = UnixListener::bind(&path).unwrap();
    let genuine = start();
    let (map, size) = {
        let map = genuine.open_map();
        let size = fstat(&map).unwrap().st_size;
        (map, size)
    };
    let status = genuine.ask("io.globstash.GetStatus", json!({}));
    let instance = status["instance"].as_str().unwrap().to_owned();
    let head = |major: u8| {
        let mut head = [0; 1 << 17];
        rustix::io::pread(&map, &mut head, 0).unwrap();
        head[12] = major;
        head
    };
    // The head of the genuine map in a file of our own.
    let copy = |major: u8, seals: c_int, is_read_only: bool| {
        // SAFETY: a new descriptor, which nobody else has.
        let file = unsafe {
            let name = c"impostor".as_ptr();
            let fd = libc::memfd_create(name, libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
            assert!(fd >= 0);
            assert_eq!(libc::ftruncate(fd, size), 0);
            OwnedFd::from_raw_fd(fd)
        };
        rustix::io::pwrite(&file, &head(major), 0).unwrap();
        // SAFETY: nothing but a number is passed.
        assert_eq!(
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) },
            0
        );
        let again = std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if is_read_only {
            again.unwrap().into()
        } else {
            file
        }
    };
    let sealed = libc::F_SEAL_SHRINK;
    let of_another = "0123456789abcdef0123456789abcdef";
    type Case<'c> = (&'c str, Option<OwnedFd>, i64, i64, &'c str, bool);
    let cases: Vec<Case<'_>> = vec![
        (
            "as it should be",
            Some(copy(2, sealed, true)),
            size,
            2,
            &instance,
            true,
        ),
        (
            "could become shorter",
            Some(copy(2, 0, true)),
            size,
            2,
            &instance,
            false,
        ),
        (
            "can be written",
            Some(copy(2, sealed, false)),
            size,
            2,
            &instance,
            false,
        ),
        (
            "of another layout, as is said",
            Some(copy(2, sealed, true)),
            size,
            3,
            &instance,
            false,
        ),
        (
            "of another layout, as it says",
            Some(copy(3, sealed, true)),
            size,
            2,
            &instance,
            false,
        ),
        (
            "of another length",
            Some(copy(2, sealed, true)),
            size - 4096,
            2,
            &instance,
            false,
        ),
        (
            "of another instance",
            Some(copy(2, sealed, true)),
            size,
            2,
            of_another,
            false,
        ),
        ("no file at all", None, size, 2, &instance, false),
        (
            "a pipe",
            Some(rustix::pipe::pipe().unwrap().0),
            size,
            2,
            &instance,
            false,
        ),
    ];
    for (what, file, size, layout, instance, is_taken) in cases {
        let client = thread::scope(|scope| {
            let client = scope.spawn(|| Client::at(&*path).unwrap().attach().unwrap());
            // The first connection is the client's own.
            let (_idle, _) = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 4096];
            assert_ne!(stream.read(&mut question).unwrap(), 0);
            let reply = frame(&json!({"parameters": {
                "mapFileDescriptor": 0, "size": size, "layout": layout, "instance": instance,
            }}));
            send_with(&stream, &reply, file.as_ref());
            client.join().unwrap()
        });
        assert_eq!(client.is_mapped(), is_taken, "{what}");
    }
}

/// Byte by byte, each with another descriptor, and never an end: who asks for the map was held as long
/// as it pleased whoever answered, and kept every descriptor.
#[test]
fn an_answer_without_end_is_not_waited_for() {
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    use globstash::{Error, Options};

    const TIMEOUT: Duration = Duration::from_millis(100);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("impostor");
    let listener = UnixListener::bind(&path).unwrap();
    let file = rustix::pipe::pipe().unwrap().0;
    let target = |fd: &str| std::fs::read_link(format!("/proc/self/fd/{fd}"));
    let ours = target(&file.as_raw_fd().to_string()).unwrap();
    let is_ours = |fd: &io::Result<std::fs::DirEntry>| {
        let name = fd.as_ref().unwrap().file_name();
        target(&name.to_string_lossy()).is_ok_and(|target| target == ours)
    };
    let open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter(is_ours).count()
    };
    let client = Options::new().timeout(TIMEOUT).at(&*path).unwrap();
    let _idle = listener.accept().unwrap();
    thread::scope(|scope| {
        let attach = scope.spawn(|| client.attach());
        let (stream, _) = listener.accept().unwrap();
        let begin = Instant::now();
        let mut most = 0;
        // Much longer than anybody has to wait for a whole message.
        while !attach.is_finished() && begin.elapsed() < common::WATCHDOG {
            thread::sleep(Duration::from_millis(1));
            send_with(&stream, b" ", Some(&file));
            most = most.max(open());
        }
        drop(stream);
        let failed = attach.join().unwrap().unwrap_err();
        assert!(matches!(failed, Error::Silent { .. }), "{failed}");
        assert!(most < 10, "{most} descriptors");
    });
}

fn send_with(stream: &UnixStream, message: &[u8], file: Option<&OwnedFd>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd as _;

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
    if !files.is_empty() {
        assert!(along.push(SendAncillaryMessage::ScmRights(&files)));
    }
    let bytes = [io::IoSlice::new(message)];
    // Who was sent enough may be gone.
    if let Ok(sent) = sendmsg(stream, &bytes, &mut along, SendFlags::NOSIGNAL) {
        assert_eq!(sent, message.len());
    }
}
