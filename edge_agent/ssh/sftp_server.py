"""An SFTP version 3 server (draft-ietf-secsh-filexfer-02) on stdin and stdout, in one file of its own.

It runs as the login's own account, one process per session, as `python -I -S -c SOURCE`: so it imports nothing of
ours and of the standard library only what starts fast. The kernel checks permissions; there is no root directory.
Names are bytes from end to end. One request is answered after the other: a client that does not read its answers
is not read from, so memory is bounded by one input buffer, one batch of answers and the table of handles.

Ends with 0 at the end of stdin, and with 1 when the bytes are no SFTP, or nobody reads the answers.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from struct import Struct

TYPE_CHECKING = False  # importing typing would double the start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = tuple[int, bytes | memoryview]
    Target = int | bytes

MAX_PACKET = 256 * 1024
MAX_DATA = MAX_PACKET - 1024
"""What one read or write may carry: as OpenSSH's server."""
MAX_HANDLES = 1024
MAX_HASHES = 8000
MIN_HASH_BLOCK = 256
NAMES_AT_ONCE = 100
CHUNK = 1024 * 1024
MAX_OFFSET = 2**63 - 1
NOBODY = 0xFFFFFFFF
"""An owner or group that is to stay what it is."""

INIT, VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 1, 2, 101, 102, 103, 104, 105, 200, 201
SUCCESS, END_OF_FILE, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
OPEN_READ, OPEN_WRITE, OPEN_APPEND, OPEN_CREATE, OPEN_TRUNCATE, OPEN_EXCLUSIVE = 1, 2, 4, 8, 16, 32
HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_EXTENDED = 1, 2, 4, 8, 0x80000000

EXTENSIONS = (
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"check-file", b"sha256"),
)
STATUS_OF_ERRNO = {
    errno.ENOENT: NO_SUCH_FILE,
    errno.ENOTDIR: NO_SUCH_FILE,
    errno.ELOOP: NO_SUCH_FILE,
    errno.EPERM: DENIED,
    errno.EACCES: DENIED,
    errno.EROFS: DENIED,
    errno.ENOSYS: UNSUPPORTED,
    errno.EOPNOTSUPP: UNSUPPORTED,
}
NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
"""What link(2) says where a file may not have a second name."""

U32, U64 = Struct(">I"), Struct(">Q")
HEAD = Struct(">IBI")
ATTRIBUTES = Struct(">IQIIIII")
FILE_SYSTEM = Struct(">11Q")
LIMITS = Struct(">4Q")


class NotSftp(Exception):
    """The bytes cannot be cut into packets any more; `last` is what begins one that is too large."""

    def __init__(self, last: bytes = b"") -> None:
        super().__init__()
        self.last = last


class Refused(Exception):
    """A request that is answered with a status of ours."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Packet:
    """The fields of one packet, read in order; raises struct.error or Refused where they end too early."""

    __slots__ = ("at", "view")

    def __init__(self, view: memoryview, at: int) -> None:
        self.view = view
        self.at = at

    def u32(self) -> int:
        """A number of 32 bits."""
        at = self.at
        self.at = at + 4
        value: int = U32.unpack_from(self.view, at)[0]
        return value

    def u64(self) -> int:
        """A number of 64 bits."""
        at = self.at
        self.at = at + 8
        value: int = U64.unpack_from(self.view, at)[0]
        return value

    def blob(self) -> memoryview:
        """A string, still in the input buffer: valid until the packet has been answered."""
        size = self.u32()
        at = self.at
        self.at = end = at + size
        if end > len(self.view):
            raise Refused(BAD_MESSAGE, "The packet is shorter than its strings")
        return self.view[at:end]

    def text(self) -> bytes:
        """A string of its own."""
        return bytes(self.blob())

    def path(self) -> bytes:
        """The name of a file."""
        path = self.text()
        if 0 in path:
            raise Refused(BAD_MESSAGE, "A file name cannot hold a NUL byte")
        return path

    def attributes(self) -> Attributes:
        """Wishes for a file's attributes."""
        wishes = Attributes()
        flags = self.u32()
        if flags & HAS_SIZE:
            wishes.size = self.u64()
        if flags & HAS_OWNER:
            wishes.owner = self._owner(), self._owner()
        if flags & HAS_MODE:
            wishes.mode = self.u32() & 0o7777
        if flags & HAS_TIMES:
            wishes.times = self.u32(), self.u32()
        for _ in range(self.u32() if flags & HAS_EXTENDED else 0):
            self.blob()
            self.blob()
        return wishes

    def _owner(self) -> int:
        number = self.u32()
        return -1 if number == NOBODY else number


class Attributes:
    """What a client wants a file's attributes to be; None is "as it is"."""

    __slots__ = ("mode", "owner", "size", "times")

    def __init__(self) -> None:
        self.size: int | None = None
        self.owner: tuple[int, int] | None = None
        self.mode: int | None = None
        self.times: tuple[int, int] | None = None

    def apply(self, target: Target) -> None:
        """Change a file. Owner before mode, as chown(2) takes setuid away; times last, as a new size sets them."""
        if self.size is not None:
            os.truncate(target, self.size)
        if self.owner is not None:
            os.chown(target, *self.owner)
        if self.mode is not None:
            os.chmod(target, self.mode)
        if self.times is not None:
            os.utime(target, self.times)

    def apply_to_link(self, path: bytes) -> None:
        """Change what has this name, and not what it points to."""
        if self.size is not None:
            raise Refused(BAD_MESSAGE, "A link has no size to set")
        if self.owner is not None:
            os.chown(path, *self.owner, follow_symlinks=False)
        if self.mode is not None:
            _chmod_unfollowed(path, self.mode)
        if self.times is not None:
            os.utime(path, self.times, follow_symlinks=False)


def _chmod_unfollowed(path: bytes, mode: int) -> None:
    """Linux has no lchmod; a descriptor that only names the file cannot be exchanged for a link meanwhile."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise Refused(UNSUPPORTED, "Links have no permissions of their own here")
        os.chmod(b"/proc/self/fd/%d" % fd, mode)
    finally:
        os.close(fd)


class OpenFile:
    """A handle on a file."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """May tell that the last writes failed."""
        os.close(self.fd)


class OpenDirectory:
    """A handle on a directory, read in batches."""

    __slots__ = ("found", "path", "special")

    def __init__(self, path: bytes) -> None:
        self.found = os.scandir(path)
        self.path = path
        self.special = [b".", b".."]

    def close(self) -> None:
        """Give its descriptor back."""
        self.found.close()

    def next_entries(self) -> list[tuple[bytes, os.stat_result]]:
        """A few more names with their attributes; an empty list at the end."""
        batch: list[tuple[bytes, os.stat_result]] = []
        while len(batch) < NAMES_AT_ONCE:
            name = self.special.pop(0) if self.special else next(self.found, None)
            if name is None:
                break
            try:
                if isinstance(name, bytes):
                    batch.append((name, os.lstat(self.path + b"/" + name)))
                else:
                    batch.append((name.name, name.stat(follow_symlinks=False)))
            except OSError:
                continue  # removed meanwhile, or its directory may be listed and not entered
        return batch


class Accounts:
    """Names of users and groups for listings, looked up once each."""

    def __init__(self) -> None:
        self._users: dict[int, bytes] = {}
        self._groups: dict[int, bytes] = {}

    def user(self, uid: int) -> bytes:
        """The name of a user, else the number."""
        if uid not in self._users:
            import pwd  # only listings need it

            self._users[uid] = self._name(uid, lambda: pwd.getpwuid(uid).pw_name)
        return self._users[uid]

    def group(self, gid: int) -> bytes:
        """The name of a group, else the number."""
        if gid not in self._groups:
            import grp  # only listings need it

            self._groups[gid] = self._name(gid, lambda: grp.getgrgid(gid).gr_name)
        return self._groups[gid]

    @staticmethod
    def _name(number: int, look_up: Callable[[], str]) -> bytes:
        try:
            return os.fsencode(look_up())
        except (KeyError, OSError, OverflowError):
            return b"%d" % number

    def longname(self, name: bytes, found: os.stat_result, now: float) -> bytes:
        """A line as `ls -l` prints it."""
        changed = seconds(found.st_mtime)
        when, recent = time.localtime(changed), now - 182 * 86400 < changed <= now
        return b"%s %3d %-8s %-8s %8d %s %s" % (
            stat.filemode(found.st_mode).encode(),
            found.st_nlink,
            self.user(found.st_uid),
            self.group(found.st_gid),
            found.st_size,
            time.strftime("%b %e %H:%M" if recent else "%b %e  %Y", when).encode(),
            name,
        )


def framed(text: bytes) -> bytes:
    """A string as it travels."""
    return U32.pack(len(text)) + text


def status(code: int, text: str) -> Answer:
    """How a request ended, with words for people."""
    return STATUS, U32.pack(code) + framed(text.encode("utf-8", "replace")) + framed(b"en")


DONE: Answer = status(SUCCESS, "Success")


def encode_attributes(found: os.stat_result) -> bytes:
    """The attributes of a file as they travel."""
    return ATTRIBUTES.pack(
        HAS_SIZE | HAS_OWNER | HAS_MODE | HAS_TIMES,
        found.st_size,
        found.st_uid,
        found.st_gid,
        found.st_mode,
        seconds(found.st_atime),
        seconds(found.st_mtime),
    )


def seconds(moment: float) -> int:
    """A time of a file as the protocol has it: the nearest that fits 32 bits."""
    return min(max(int(moment), 0), 0xFFFFFFFF)


def one_name(name: bytes) -> Answer:
    """A single name, without attributes."""
    return NAME, U32.pack(1) + framed(name) + framed(name) + U32.pack(0)


def encode_file_system(found: os.statvfs_result) -> Answer:
    """What statvfs(3) tells; of its flags travel read-only and no-setuid."""
    return EXTENDED_REPLY, FILE_SYSTEM.pack(
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid & 0xFFFFFFFFFFFFFFFF,
        found.f_flag & (os.ST_RDONLY | os.ST_NOSUID),
        found.f_namemax,
    )


def canonical(path: bytes) -> bytes:
    """The absolute name without links; its last part need not exist, the directory that it is in must."""
    real = os.path.realpath(path or b".")
    os.lstat(os.path.dirname(real))
    return real


def write_all(fd: int, piece: memoryview | bytes, offset: int) -> None:
    """Write every byte; where the file was opened to append, the kernel ignores the offset."""
    view = memoryview(piece)
    while view:
        written = os.pwrite(fd, view, offset)
        offset += written
        view = view[written:]


def hash_range(fd: int, offset: int, length: int, block: int) -> bytes:
    """SHA-256 of a range of a file, whole or block by block; length 0 is "to the end"."""
    if not block:
        return _digest(fd, offset, length or MAX_OFFSET)
    size = max(os.fstat(fd).st_size - offset, 0)
    size = min(size, length) if length else size
    if block < MIN_HASH_BLOCK or size > block * MAX_HASHES:
        raise Refused(FAILURE, "The blocks to hash are too small")
    starts = range(offset, offset + size, block)
    return b"".join(_digest(fd, start, min(block, offset + size - start)) for start in starts)


def _digest(fd: int, offset: int, length: int) -> bytes:
    import hashlib  # only this needs it, and OpenSSL takes milliseconds to load

    hashed, end = hashlib.sha256(), min(offset + length, MAX_OFFSET)
    while piece := os.pread(fd, max(min(CHUNK, end - offset), 0), offset):
        hashed.update(piece)
        offset += len(piece)
    return hashed.digest()


class Server:
    """The requests of one session, each answered by the method that the tables below name."""

    def __init__(self, sink: Output) -> None:
        self._sink = sink
        self._handles: dict[bytes, OpenFile | OpenDirectory] = {}
        self._given = 0
        self.is_started = False
        self._home = os.getcwdb()
        self._accounts = Accounts()

    def answer(self, view: memoryview) -> Answer:
        """The answer to one packet, valid until the next one."""
        kind = view[0]
        if len(view) < 5 or (kind != INIT and not self.is_started):
            raise NotSftp
        if kind == INIT:
            return self._start()
        try:
            return REQUESTS.get(kind, Server.unknown)(self, Packet(view, 5))
        except (Refused, OSError, struct.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            return _refusal(error)

    def unknown(self, asked: Packet) -> Answer:
        """A request or an extension that nobody asked of a server of this version."""
        raise Refused(UNSUPPORTED, "This server does not know such requests")

    def _start(self) -> Answer:
        self.is_started = True
        return VERSION, b"".join(framed(part) for pair in EXTENSIONS for part in pair)

    # --- handles ---

    def _keep(self, kept: OpenFile | OpenDirectory) -> Answer:
        self._given += 1
        handle = U64.pack(self._given)
        self._handles[handle] = kept
        return HANDLE, framed(handle)

    def _check_room(self) -> None:
        if len(self._handles) >= MAX_HANDLES:
            raise Refused(FAILURE, "Too many open handles")

    def _fd(self, asked: Packet) -> int:
        kept = self._handles.get(asked.text())
        if not isinstance(kept, OpenFile):
            raise Refused(FAILURE, "This is no handle of an open file")
        return kept.fd

    def _directory(self, asked: Packet) -> OpenDirectory:
        kept = self._handles.get(asked.text())
        if not isinstance(kept, OpenDirectory):
            raise Refused(FAILURE, "This is no handle of an open directory")
        return kept

    def close(self, asked: Packet) -> Answer:
        """SSH_FXP_CLOSE."""
        kept = self._handles.pop(asked.text(), None)
        if kept is None:
            raise Refused(FAILURE, "There is no such handle")
        kept.close()
        return DONE

    # --- files ---

    def open(self, asked: Packet) -> Answer:
        """SSH_FXP_OPEN. Never waits for the other end of a pipe or for a line."""
        path, wish, attributes = asked.path(), asked.u32(), asked.attributes()
        self._check_room()
        mode = 0o666 if attributes.mode is None else attributes.mode
        return self._keep(OpenFile(os.open(path, open_flags(wish), mode)))

    def read(self, asked: Packet) -> Answer:
        """SSH_FXP_READ, right to where it is sent from: fresh memory for large pieces costs more than reading them."""
        fd, offset, length = self._fd(asked), asked.u64(), asked.u32()
        room = self._sink.room()
        got = os.preadv(fd, [room[4 : 4 + min(length, MAX_DATA)]], offset)
        if not got and length:
            return status(END_OF_FILE, "End of file")
        U32.pack_into(room, 0, got)
        return DATA, room[: 4 + got]

    def write(self, asked: Packet) -> Answer:
        """SSH_FXP_WRITE."""
        write_all(self._fd(asked), offset=asked.u64(), piece=asked.blob())
        return DONE

    def fstat(self, asked: Packet) -> Answer:
        """SSH_FXP_FSTAT."""
        return ATTRS, encode_attributes(os.fstat(self._fd(asked)))

    def stat(self, asked: Packet) -> Answer:
        """SSH_FXP_STAT."""
        return ATTRS, encode_attributes(os.stat(asked.path()))

    def lstat(self, asked: Packet) -> Answer:
        """SSH_FXP_LSTAT."""
        return ATTRS, encode_attributes(os.lstat(asked.path()))

    def setstat(self, asked: Packet) -> Answer:
        """SSH_FXP_SETSTAT."""
        path = asked.path()
        asked.attributes().apply(path)
        return DONE

    def fsetstat(self, asked: Packet) -> Answer:
        """SSH_FXP_FSETSTAT."""
        fd = self._fd(asked)
        asked.attributes().apply(fd)
        return DONE

    # --- names ---

    def opendir(self, asked: Packet) -> Answer:
        """SSH_FXP_OPENDIR."""
        path = asked.path()
        self._check_room()
        return self._keep(OpenDirectory(path))

    def readdir(self, asked: Packet) -> Answer:
        """SSH_FXP_READDIR."""
        entries = self._directory(asked).next_entries()
        if not entries:
            return status(END_OF_FILE, "End of the directory")
        body, now = [U32.pack(len(entries))], time.time()
        for name, found in entries:
            body += [framed(name), framed(self._accounts.longname(name, found, now)), encode_attributes(found)]
        return NAME, b"".join(body)

    def remove(self, asked: Packet) -> Answer:
        """SSH_FXP_REMOVE."""
        os.unlink(asked.path())
        return DONE

    def mkdir(self, asked: Packet) -> Answer:
        """SSH_FXP_MKDIR."""
        path, mode = asked.path(), asked.attributes().mode
        os.mkdir(path, 0o777 if mode is None else mode)
        return DONE

    def rmdir(self, asked: Packet) -> Answer:
        """SSH_FXP_RMDIR."""
        os.rmdir(asked.path())
        return DONE

    def realpath(self, asked: Packet) -> Answer:
        """SSH_FXP_REALPATH."""
        return one_name(canonical(asked.path()))

    def rename(self, asked: Packet) -> Answer:
        """SSH_FXP_RENAME: never replaces anything; for files the kernel sees to that."""
        old, new = asked.path(), asked.path()
        if stat.S_ISREG(os.lstat(old).st_mode):
            try:
                os.link(old, new)
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
            else:
                os.unlink(old)
                return DONE
        if os.path.lexists(new):
            raise Refused(FAILURE, os.strerror(errno.EEXIST))
        os.rename(old, new)
        return DONE

    def readlink(self, asked: Packet) -> Answer:
        """SSH_FXP_READLINK."""
        return one_name(os.readlink(asked.path()))

    def symlink(self, asked: Packet) -> Answer:
        """SSH_FXP_SYMLINK: first where it points to, then its name. The draft has it the other way, no client has."""
        points_to, name = asked.path(), asked.path()
        os.symlink(points_to, name)
        return DONE

    # --- extensions ---

    def extended(self, asked: Packet) -> Answer:
        """SSH_FXP_EXTENDED."""
        return EXTENDED_REQUESTS.get(asked.text(), Server.unknown)(self, asked)

    def posix_rename(self, asked: Packet) -> Answer:
        """As rename(2): replaces what has the new name."""
        old, new = asked.path(), asked.path()
        os.rename(old, new)
        return DONE

    def hardlink(self, asked: Packet) -> Answer:
        """As link(2)."""
        old, new = asked.path(), asked.path()
        os.link(old, new)
        return DONE

    def fsync(self, asked: Packet) -> Answer:
        """As fsync(2)."""
        os.fsync(self._fd(asked))
        return DONE

    def statvfs(self, asked: Packet) -> Answer:
        """The file system that a name is on."""
        return encode_file_system(os.statvfs(asked.path()))

    def fstatvfs(self, asked: Packet) -> Answer:
        """The file system that an open file is on."""
        return encode_file_system(os.statvfs(self._fd(asked)))

    def lsetstat(self, asked: Packet) -> Answer:
        """SETSTAT that does not follow a link."""
        path = asked.path()
        asked.attributes().apply_to_link(path)
        return DONE

    def limits(self, asked: Packet) -> Answer:
        """How large packets may be, and how many handles there are."""
        handles = min(MAX_HANDLES, max(os.sysconf("SC_OPEN_MAX") - 5, 1))
        return EXTENDED_REPLY, LIMITS.pack(MAX_PACKET, MAX_DATA, MAX_DATA, handles)

    def expand_path(self, asked: Packet) -> Answer:
        """REALPATH that knows `~` (where the session began) and `~user`."""
        path = asked.path()
        if not path.startswith(b"~"):
            return one_name(canonical(path))
        user, _, rest = path[1:].partition(b"/")
        return one_name(canonical(os.path.join(self._home_of(user), rest.lstrip(b"/"))))

    def _home_of(self, user: bytes) -> bytes:
        if not user:
            return self._home
        import pwd  # only this needs it

        try:
            return os.fsencode(pwd.getpwnam(os.fsdecode(user)).pw_dir)
        except (KeyError, OSError, ValueError):
            raise Refused(NO_SUCH_FILE, "There is no such account") from None

    def copy_data(self, asked: Packet) -> Answer:
        """Copy from one open file to another; length 0 is "to the end"."""
        source, at, length = self._fd(asked), asked.u64(), asked.u64()
        target, to = self._fd(asked), asked.u64()
        if os.path.sameopenfile(source, target):
            raise Refused(FAILURE, "A file cannot be copied to itself")
        end = at + length if length else None
        while end is None or at < end:
            piece = os.pread(source, CHUNK if end is None else min(CHUNK, end - at), at)
            if not piece:
                break
            write_all(target, piece, to)
            at, to = at + len(piece), to + len(piece)
        return DONE

    def check_handle(self, asked: Packet) -> Answer:
        """Hashes of an open file (draft-ietf-secsh-filexfer-extensions-00)."""
        return self._check(self._fd(asked), asked)

    def check_name(self, asked: Packet) -> Answer:
        """Hashes of a file by its name."""
        fd = os.open(asked.path(), open_flags(OPEN_READ))
        try:
            return self._check(fd, asked)
        finally:
            os.close(fd)

    def _check(self, fd: int, asked: Packet) -> Answer:
        kinds, offset, length, block = asked.text(), asked.u64(), asked.u64(), asked.u32()
        if b"sha256" not in kinds.split(b","):
            raise Refused(FAILURE, "This server hashes with sha256 only")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused(FAILURE, "Only the content of a file can be hashed")
        return EXTENDED_REPLY, framed(b"check-file") + framed(b"sha256") + hash_range(fd, offset, length, block)


def open_flags(wish: int) -> int:
    """The flags of open(2) for those of SSH_FXP_OPEN; not waiting only matters for pipes and lines."""
    access = os.O_WRONLY if wish & OPEN_WRITE else os.O_RDONLY
    if wish & OPEN_WRITE and wish & OPEN_READ:
        access = os.O_RDWR
    for flag, meaning in (
        (OPEN_APPEND, os.O_APPEND),
        (OPEN_CREATE, os.O_CREAT),
        (OPEN_TRUNCATE, os.O_TRUNC),
        (OPEN_EXCLUSIVE, os.O_EXCL),
    ):
        access |= meaning if wish & flag else 0
    return access | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def _refusal(error: Exception) -> Answer:
    if isinstance(error, Refused):
        return status(error.code, error.text)
    if isinstance(error, struct.error):
        return status(BAD_MESSAGE, "The packet is shorter than its fields")
    if isinstance(error, OSError):
        return status(STATUS_OF_ERRNO.get(error.errno or 0, FAILURE), error.strerror or "Failure")
    if isinstance(error, OverflowError):
        return status(FAILURE, os.strerror(errno.EINVAL))
    return status(FAILURE, "This cannot be done")


REQUESTS: dict[int, Callable[[Server, Packet], Answer]] = {
    3: Server.open,
    4: Server.close,
    5: Server.read,
    6: Server.write,
    7: Server.lstat,
    8: Server.fstat,
    9: Server.setstat,
    10: Server.fsetstat,
    11: Server.opendir,
    12: Server.readdir,
    13: Server.remove,
    14: Server.mkdir,
    15: Server.rmdir,
    16: Server.realpath,
    17: Server.stat,
    18: Server.rename,
    19: Server.readlink,
    20: Server.symlink,
    EXTENDED: Server.extended,
}
EXTENDED_REQUESTS: dict[bytes, Callable[[Server, Packet], Answer]] = {
    b"posix-rename@openssh.com": Server.posix_rename,
    b"hardlink@openssh.com": Server.hardlink,
    b"fsync@openssh.com": Server.fsync,
    b"statvfs@openssh.com": Server.statvfs,
    b"fstatvfs@openssh.com": Server.fstatvfs,
    b"lsetstat@openssh.com": Server.lsetstat,
    b"limits@openssh.com": Server.limits,
    b"expand-path@openssh.com": Server.expand_path,
    b"copy-data": Server.copy_data,
    b"check-file": Server.check_handle,
    b"check-file-handle": Server.check_handle,
    b"check-file-name": Server.check_name,
}


class Input:
    """What the client sends, cut into packets in one buffer of fixed size."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._view = memoryview(bytearray(2 * (MAX_PACKET + 4)))
        self._start = 0
        self._end = 0

    def fill(self) -> bool:
        """Wait for more; whether there was any."""
        if self._start:
            left = bytes(self._view[self._start : self._end])
            self._view[: len(left)] = left
            self._start, self._end = 0, len(left)
        got = os.readv(self._fd, [self._view[self._end :]])
        self._end += got
        return got > 0

    def packets(self) -> Iterator[memoryview]:
        """Every packet that has arrived whole; each is valid until the next one is asked for."""
        while self._end - self._start >= 4:
            size = U32.unpack_from(self._view, self._start)[0]
            start = self._start + 4
            if size > MAX_PACKET and start + 5 > self._end:
                return
            if not 1 <= size <= MAX_PACKET:
                raise NotSftp(bytes(self._view[start : start + 5]) if size else b"")
            if start + size > self._end:
                return
            self._start = start + size
            yield self._view[start : start + size]


class Output:
    """Answers on their way to the client, gathered so that small ones share a write."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._view = memoryview(bytearray(2 * MAX_PACKET))
        self._end = 0

    def room(self) -> memoryview:
        """Where the body of the next answer goes: the largest one fits."""
        if self._end + HEAD.size + MAX_PACKET > len(self._view):
            self.flush()
        return self._view[self._end + HEAD.size :]

    def add(self, request: bytes | memoryview, kind: int, body: bytes | memoryview) -> None:
        """Send an answer, now or with the next ones; a body that is no bytes is in its room already.

        Where others have the id of their request, a VERSION has the version.
        """
        room = self.room()
        if isinstance(body, bytes):
            room[: len(body)] = body
        number = 3 if kind == VERSION else U32.unpack_from(request, 1)[0]
        HEAD.pack_into(self._view, self._end, len(body) + 5, kind, number)
        self._end += HEAD.size + len(body)

    def flush(self) -> None:
        """Send everything; waits for a client that does not read."""
        left, self._end = self._view[: self._end], 0
        while left:
            left = left[os.write(self._fd, left) :]


def serve(source: Input, sink: Output) -> None:
    """Answer until the client is gone."""
    server = Server(sink)
    while source.fill():
        try:
            for packet in source.packets():
                sink.add(packet, *server.answer(packet))
        except NotSftp as end:
            if server.is_started and len(end.last) == 5:
                sink.add(end.last, *status(BAD_MESSAGE, "The packet is larger than 256 KiB"))
            raise
        finally:
            sink.flush()


def main() -> int:
    """One session on stdin and stdout; the exit status."""
    os.set_blocking(0, True)
    os.set_blocking(1, True)
    try:
        serve(Input(0), Output(1))
    except (NotSftp, OSError):
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    os._exit(main())
