"""Which local account a command runs as, and what that account brings along. Standard library only."""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Account:
    """One local account."""

    name: str
    uid: int
    gid: int
    groups: Sequence[int]
    """All of its groups, the first one included."""
    home: str
    shell: str

    def environment(self) -> Mapping[str, str]:
        """What a login would set."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


def find_account(name: str) -> Account | None:
    """Look an account up by its name."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=os.getgrouplist(entry.pw_name, entry.pw_gid),
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",
    )


def refusal(account: Account | None, own_uid: int) -> Literal["", "user_unknown", "user_denied"]:
    """Why a runner of this uid cannot run anything as that account; empty when it can. Pure."""
    if account is None:
        return "user_unknown"
    if own_uid not in {0, account.uid}:
        return "user_denied"
    return ""


@functools.cache
def own_home() -> str:
    """Home directory of the runner's own account."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return os.environ.get("HOME", "/")  # containers run as uids that have no account
