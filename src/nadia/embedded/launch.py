"""The first thing that runs in a server's own process: settle who it is and how it dies, then become the server.

Run by path in an isolated interpreter (``python -I -S launch.py …``), so it imports nothing of NADIA. It is a program
and not a function called between fork and exec, because after a fork in a process with threads only a new program is
safe; and it is ours rather than a shell's, because giving up root clears the parent-death signal, so the order counts.

Arguments: pid of the parent, number of the signal to get when it dies, uid, gid, then the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From Linux' ``sys/prctl.h``."""


def main(arguments: list[str]) -> None:
    """Become the command; does not return.

    Parameters
    ----------
    arguments : list of str
        As the module describes.
    """
    parent, death_signal, uid, gid = (int(value) for value in arguments[:4])
    command = arguments[4:]
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("the parent died before its server started")
    # Python ignores SIGPIPE, and exec hands ignored signals on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - becoming the command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
