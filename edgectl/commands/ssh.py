"""`edgectl ssh`."""

from __future__ import annotations

import typer

from edgectl.app import new_app
from edgectl.failures import report
from edgectl.options import invocation_of
from edgectl.ssh.openssh import find_ssh, run_ssh
from edgectl.ssh.words import FAILED, read_words

app = new_app("A shell or one command on a node, through the admin.")

EXAMPLES = """Examples:

edgectl ssh edge01

edgectl ssh root@edge01 -- systemctl status nginx

edgectl ssh edge01 -L 8080:localhost:80 -N

edgectl --context prod ssh edge01 -A -t tmux attach

All options of ssh(1) work, before the node or behind it; those of edgectl itself stand before `ssh`. Behind `--`
several words arrive as they are; one word is text for the shell, as without `--`."""


@app.command(
    epilog=EXAMPLES,
    options_metavar="[USER@]NODE [SSH OPTIONS] [COMMAND]",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
def ssh(ctx: typer.Context) -> int:
    """A shell or one command on a node, through the admin. No port is open there, and no key is needed."""
    invocation = invocation_of(ctx)
    try:
        asked = read_words(ctx.args, invocation.remote_argv)
        program = find_ssh()
        if program is None:
            from edgectl.ssh.own_client import run_own_client  # a client of our own, for where there is no other

            return run_own_client(invocation, asked)
        return run_ssh(invocation, asked, program)
    except Exception as error:  # as ssh itself: whatever is not the remote command's is 255
        report(invocation, error)
        return FAILED
