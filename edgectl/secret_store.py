"""Where credentials are kept: the system's keyring, or a file of mode 0600 that the user chose explicitly."""

from __future__ import annotations

import os
from pathlib import Path

from edge_wire.errors import CredentialUnreadable, NotLoggedIn
from edge_wire.private_files import write_private
from edgectl.contexts import Context

_SERVICE = "edgectl"
_FILE_HINT = "on a machine without a keyring: edgectl login --keyring file"


def read_token(context: Context) -> str:
    """The bearer token: EDGECTL_TOKEN, else where the context keeps it. Raises NotLoggedIn, CredentialUnreadable."""
    given = os.environ.get("EDGECTL_TOKEN")
    if given:
        return given
    token = _read_file(context) if context.store == "file" else _read_keyring(context.name)
    if not token:
        raise NotLoggedIn(f"no credential is stored for the context {context.name}", hint="edgectl login")
    return token


def store_token(context: Context, token: str) -> None:
    """Keep a credential. Raises CredentialUnreadable when there is no keyring."""
    if context.store == "file":
        write_private(Path(context.credential_file), token + "\n")
        return
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, context.name, token)
    except (KeyringError, RuntimeError) as error:
        raise CredentialUnreadable(f"the system's keyring does not take it ({error})", hint=_FILE_HINT) from None


def forget_token(context: Context) -> None:
    """Forget a credential; one that is not there is no error."""
    if context.store == "file":
        Path(context.credential_file).unlink(missing_ok=True)
        return
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(_SERVICE, context.name)
    except PasswordDeleteError:
        return
    except (KeyringError, RuntimeError) as error:
        raise CredentialUnreadable(f"the system's keyring does not answer ({error})", hint=_FILE_HINT) from None


def _read_file(context: Context) -> str:
    try:
        return Path(context.credential_file).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CredentialUnreadable(f"{context.credential_file} cannot be read ({error.strerror})") from None


def _read_keyring(name: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(_SERVICE, name) or ""
    except (KeyringError, RuntimeError) as error:
        raise CredentialUnreadable(f"the system's keyring does not answer ({error})", hint=_FILE_HINT) from None
