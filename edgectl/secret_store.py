"""Where credentials are kept: the system's keyring, or a file of mode 0600 that the user chose explicitly."""

from __future__ import annotations

import os
from pathlib import Path

from edge_wire.errors import CredentialUnreadable, NotLoggedIn, Unauthenticated
from edge_wire.private_files import write_private
from edgectl.contexts import Context

_SERVICE = "edgectl"
_FILE_HINT = "on a machine without a keyring: edgectl login --keyring file"


def read_token(context: Context) -> str:
    """The bearer token: EDGECTL_TOKEN, else where the context keeps it.

    Raises NotLoggedIn, CredentialUnreadable, Unauthenticated.
    """
    given = os.environ.get("EDGECTL_TOKEN", "").strip()
    if given:
        return _checked(given, "EDGECTL_TOKEN")
    token = _read_file(context) if context.store == "file" else _read_keyring(context.name)
    if not token:
        raise NotLoggedIn(f"no credential is stored for the context {context.name}", hint="edgectl login")
    return _checked(token, f"the credential of the context {context.name}")


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


def _checked(token: str, origin: str) -> str:
    """Metadata of gRPC takes printable ASCII. The token itself is never in the text."""
    if token.isascii() and token.isprintable():
        return token
    raise Unauthenticated(
        f"{origin} is no token: it holds a line break or other characters that no token has",
        hint="set EDGECTL_TOKEN anew" if origin == "EDGECTL_TOKEN" else "edgectl login",
    )


def _read_file(context: Context) -> str:
    try:
        return Path(context.credential_file).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise CredentialUnreadable(f"{context.credential_file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise CredentialUnreadable(f"{context.credential_file} is not text", hint="edgectl login") from None


def _read_keyring(name: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    try:
        return (keyring.get_password(_SERVICE, name) or "").strip()
    except (KeyringError, RuntimeError) as error:
        raise CredentialUnreadable(f"the system's keyring does not answer ({error})", hint=_FILE_HINT) from None
