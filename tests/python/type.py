"""Types a line into a shell on a terminal of its own: python type.py SHELL LINE...

Each line is a program for a shell's line editor: a tab in it completes. The shell's terminal is
shown on standard output, once the shell has ended.
"""

import os
import pty
import sys

shell, *lines = sys.argv[1:]
start = {
    "bash": ["bash", "--noprofile", "--rcfile", "rc.bash", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "dumb" if shell != "fish" else "xterm"
    os.execvp(shell, start[shell])
# Editors take what was typed before they were ready.
for line in [*lines, "exit"]:
    os.write(terminal, line.encode() + b"\r")
shown = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # the other end was closed
        break
    if not piece:
        break
    shown += piece
os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
