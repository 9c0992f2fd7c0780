"""`edgectl ssh-config`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgectl.app import new_app
from edgectl.options import invocation_of
from edgectl.ssh import configuration

app = new_app("Make plain ssh, scp, rsync and git reach nodes by name.")

EXAMPLES = """Examples:

edgectl ssh-config >> ~/.ssh/config && ssh edge01 uptime

edgectl ssh-config --hosts 'edge*,*.nm.internal' --user root >> ~/.ssh/config"""


@app.command(epilog=EXAMPLES)
def ssh_config(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="Who to log in as when the call does not say. Default: as ssh.")] = "",
    hosts: Annotated[
        str, typer.Option(metavar="PATTERNS", help="Ask the admin about these hosts only, as ssh_config(5) has them.")
    ] = "",
    admit: Annotated[
        str, typer.Option(metavar="USER@HOST", help="What ssh runs: exit 0 when it is a node, to let our key in.")
    ] = "",
    known_hosts: Annotated[str, typer.Option(metavar="HOST", help="What ssh runs: print the keys of a node.")] = "",
) -> int:
    """Print a block for ~/.ssh/config that makes plain ssh, scp, sftp, rsync and git reach nodes by name."""
    invocation = invocation_of(ctx)
    if admit:
        name, _, host = admit.rpartition("@")
        return 0 if configuration.admit_host(invocation, host, name, is_trusted=bool(hosts)) else 1
    if known_hosts:
        configuration.print_known_hosts(invocation, known_hosts)
    else:
        sys.stdout.write(f"{configuration.block(invocation, user=user, hosts=hosts)}\n")
    return 0
