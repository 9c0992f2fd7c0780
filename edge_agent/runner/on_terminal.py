"""The first program on a terminal: makes it the controlling one, changes the account, and is replaced by the command.

The runner hands this file's text to `python -I -S -c`, so it imports nothing of ours. Arguments: the descriptor that
takes step and errno of a failure; `uid,gid,group...`, or nothing to stay what it is; the program's file, or nothing
when the command is its name; the command and its arguments.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import termios


def main() -> None:
    """Become the command, or tell at which step that failed."""
    tell, ids, file, *command = sys.argv[1:]
    os.set_inheritable(int(tell), False)
    step = "prepare"
    try:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        environment = _own_environment()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a command would inherit that
            signal.signal(number, signal.SIG_DFL)
        if ids:
            _change_account(*[int(number) for number in ids.split(",")])
        step = "execute"
        _execute(file or command[0], command, environment)
    except OSError as error:
        os.write(int(tell), f"{step} {error.errno}".encode())
    os._exit(127)


def _own_environment() -> dict[bytes, bytes]:
    """As it was given: Python adds LC_CTYPE to os.environ where no locale is set."""
    with open("/proc/self/environ", "rb") as file:  # pathlib would double the time that this program takes
        pairs = (variable.partition(b"=") for variable in file.read().split(b"\0"))
        return {name: value for name, is_there, value in pairs if is_there}


def _change_account(uid: int, gid: int, *groups: int) -> None:
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)


def _execute(file: str, command: list[str], environment: dict[bytes, bytes]) -> None:
    """As os.execvpe, which imports what the account may not be able to read. Raises OSError."""
    program = os.fsencode(file)
    places = [b""] if b"/" in program else environment.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    failure: OSError = FileNotFoundError(errno.ENOENT, "")
    for place in places:
        try:
            os.execve(os.path.join(place, program), command, environment)  # noqa: S606  # no shell is what is wanted
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failure = failure if failure.errno != errno.ENOENT else error
    raise failure


if __name__ == "__main__":
    main()
