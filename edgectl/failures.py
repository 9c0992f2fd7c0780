"""Whatever goes wrong becomes one line and an exit code; `--debug` also shows where it comes from."""

from __future__ import annotations

from edge_wire.errors import EdgeError, Internal, UsageError
from edgectl.invocation import Invocation
from edgectl.output import fail


def report(invocation: Invocation, error: Exception) -> int:
    """Say what went wrong. Returns the exit code of the error table."""
    if invocation.is_debug:
        import traceback

        traceback.print_exception(error)
    return fail(invocation, to_edge_error(error, is_debug=invocation.is_debug))


def to_edge_error(error: Exception, *, is_debug: bool = False) -> EdgeError:
    """The error that people are told of."""
    if isinstance(error, EdgeError):
        return error
    if isinstance(error, UnicodeEncodeError) and _is_from_bytes(error.object):
        # Protobuf's strings are UTF-8. The value stays unsaid: it may be a secret of the environment.
        return UsageError("a word of the command line, or a value of the environment, is not UTF-8")
    if isinstance(error, ModuleNotFoundError):
        return Internal(f"the module {error.name} is missing", hint="install edgectl[cli]")
    hint = "" if is_debug else "repeat it with --debug and report what it prints"
    return Internal(f"{type(error).__name__}: {error}", hint=hint)


def _is_from_bytes(text: str) -> bool:
    """Whether Python made this of bytes that are no UTF-8 (PEP 383)."""
    return any("\udc80" <= character <= "\udcff" for character in text)
