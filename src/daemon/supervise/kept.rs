//! What a service has given to be kept, by name: the store of sd_pid_notify_with_fds(3).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::channel::Message;

/// Most descriptors that are kept; as in the systemd unit.
const KEPT_MAX: usize = 4;

/// Descriptors that outlive the process which had them.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(String, OwnedFd)>);

impl Kept {
    /// Does what a message asks for. What has come with it and is not to be kept is closed.
    pub(super) fn heed(&mut self, message: Message) {
        let has = |line: &str| message.text.lines().any(|other| other == line);
        let mut lines = message.text.lines();
        let name = lines.find_map(|line| line.strip_prefix("FDNAME="));
        let name = name.unwrap_or("stored");
        if has("FDSTOREREMOVE=1") {
            self.0.retain(|(kept, _)| kept != name);
        }
        if !has("FDSTORE=1") {
            return;
        }
        for descriptor in message.descriptors {
            match self.0.len() {
                KEPT_MAX => log::error!("too many descriptors to keep: '{name}' is not kept"),
                _ => self.0.push((name.to_owned(), descriptor)),
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is kept, to be passed on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &str)> {
        let all = self.0.iter();
        all.map(|(name, descriptor)| (descriptor.as_fd(), &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, count: usize) -> Message {
        let descriptor = || std::fs::File::open("/dev/null").unwrap().into();
        Message {
            text: text.to_owned(),
            descriptors: (0..count).map(|_| descriptor()).collect(),
        }
    }

    fn names(kept: &Kept) -> Vec<&str> {
        kept.iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn it_keeps_what_it_is_given_until_it_is_told_to_forget() {
        let mut kept = Kept::default();
        kept.heed(message("FDSTORE=1\nFDNAME=map\nFDPOLL=0\n", 1));
        kept.heed(message("FDSTORE=1\nFDNAME=view\n", 1));
        kept.heed(message("READY=1\nSTATUS=Serving\n", 0));
        kept.heed(message("BARRIER=1\n", 1));
        assert_eq!(names(&kept), ["map", "view"]);
        kept.heed(message("FDSTOREREMOVE=1\nFDNAME=map\n", 0));
        assert_eq!(names(&kept), ["view"]);
        kept.clear();
        assert!(names(&kept).is_empty());
    }

    #[test]
    fn it_keeps_no_more_than_a_few() {
        let mut kept = Kept::default();
        kept.heed(message("FDSTORE=1\nFDNAME=map\n", KEPT_MAX + 1));
        assert_eq!(names(&kept).len(), KEPT_MAX);
    }
}
