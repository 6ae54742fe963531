#!/usr/bin/python3
"""Does to the service's memory, and to what systemd keeps for it, what nobody should.

store.py poke WORD VALUE    writes a word of the memory file that the running service has open
store.py push NAME KIND     has systemd keep a descriptor for the service, as if it had asked for that
store.py drop NAME          has systemd forget the descriptors of a name

KIND is what the descriptor is of: `pipe`, `file`, `memory` (a memory file without a map, unsealed),
or `bare` (one that is sealed as ours is, and empty).
"""

import fcntl
import mmap
import os
import socket
import subprocess
import sys

UNIT = "globstashd.service"
SEALS = 1 | 2 | 4  # seal, shrink, grow


def main_pid():
    show = ["systemctl", "show", "--value", "--property=MainPID", UNIT]
    return int(subprocess.check_output(show))


def poke(word, value):
    folder = f"/proc/{main_pid()}/fd"
    is_map = lambda link: os.readlink(link).startswith("/memfd:globstash")
    link = next(link for link in (f"{folder}/{n}" for n in os.listdir(folder)) if is_map(link))
    with open(link, "r+b", buffering=0) as file:
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        memory[8 * word : 8 * word + 8] = value.to_bytes(8, "little")


def descriptor(kind):
    if kind == "pipe":
        return os.pipe()[0]
    if kind == "file":
        return os.open("/etc/hostname", os.O_RDONLY)
    memory = os.memfd_create("globstash", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, 1 << 20)
    if kind == "bare":
        os.fchown(memory, os.stat(f"/proc/{main_pid()}").st_uid, -1)
        os.fchmod(memory, 0o400)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
    return memory


def notify(message, *descriptors):
    """Speaks as a process of the service; its NotifyAccess= must be `all`."""
    with open(f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs", "w") as cgroup:
        cgroup.write(str(os.getpid()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect("/run/systemd/notify")
        socket.send_fds(manager, [message.encode()], descriptors)
        # Heard before we are gone, and nobody knows any longer whose process this was.
        ours, theirs = socket.socketpair()
        socket.send_fds(manager, [b"BARRIER=1"], [theirs.fileno()])
        theirs.close()
        ours.recv(1)


match sys.argv[1:]:
    case ["poke", word, value]:
        poke(int(word, 0), int(value, 0))
    case ["push", name, kind]:
        notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptor(kind))
    case ["drop", name]:
        notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
    case _:
        sys.exit(__doc__)
