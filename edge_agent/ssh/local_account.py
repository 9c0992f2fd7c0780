"""Which account of the node a login runs as, or why it cannot."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from edge_agent.runner import account as accounts
from edge_agent.runner.account import Account
from edge_wire.names import printable

_OUTCOME = "account_refused"
"""How a session ends whose account cannot be used."""


@dataclass(frozen=True, kw_only=True)
class LocalAccount:
    """What a login is on the node."""

    name: str
    account: Account | None
    """None when it cannot be used."""
    refusal: str = ""
    """For whoever logged in: why it cannot be used."""
    outcome: str = ""
    """The same as the session's outcome."""

    @property
    def to_change_to(self) -> Account | None:
        """The account that programs change to; None to stay what the agent is."""
        return self.account if self.account is not None and self.account.uid != os.geteuid() else None


def own_account_name() -> str:
    """The account that the agent runs as; its uid where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def find_local_account(name: str) -> LocalAccount:
    """Look up what an admin's answer names; empty is the agent's own. May block on the system's directory."""
    if name in {"", own_account_name()}:
        return LocalAccount(name=own_account_name(), account=_own_account())
    account = None if "\0" in name else accounts.find_account(name)
    match accounts.refusal(account, os.geteuid()):
        case "user_unknown":
            refusal = f"this node has no account {printable(name)}"
            return LocalAccount(name=name, account=None, refusal=refusal, outcome=_OUTCOME)
        case "user_denied":
            refusal = f"the agent of this node is not root and runs nothing as {printable(name)}"
            return LocalAccount(name=name, account=None, refusal=refusal, outcome=_OUTCOME)
    return LocalAccount(name=name, account=account)


def _own_account() -> Account:
    name = own_account_name()
    return accounts.find_account(name) or Account(  # noqa: S604  # a field, no subprocess
        name=name,
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=os.getgroups(),
        home=accounts.own_home(),
        shell="/bin/sh",  # a field of an account
    )
