"""`edgectl node`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edge_wire.v1 import node_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import Admin, ask, select_nodes
from edgectl.options import Yes, invocation_of, read_labels
from edgectl.output import Column, column, emit_list, emit_object, note, text_of, time_column
from edgectl.selectors import Clusters, Exclude, Expressions, From, Labels, Online, SelectorWords, read_list

app = new_app("Nodes: list, show, set, alias, move, delete.")

Node = Annotated[str, typer.Argument(help="Alias, alias.cluster, id, first characters of the id, or DNS name.")]


@app.command(
    "list",
    epilog="Examples: edgectl node list -o wide · edgectl node list -l site=oslo --online -o json",
)
def list_nodes(
    ctx: typer.Context,
    node: Expressions = None,
    cluster: Clusters = None,
    label: Labels = None,
    exclude: Exclude = None,
    online: Online = False,
    from_file: From = "",
) -> None:
    """List nodes; offline ones too, with when they were last seen."""
    invocation = invocation_of(ctx)
    words = SelectorWords(
        nodes=node or [],
        clusters=cluster or [],
        labels=label or [],
        exclude=exclude or [],
        is_online=online,
        listed=read_list(from_file),
    )
    selector = words.to_message()
    rows = [shapes.node(item) for item in ask(invocation, lambda admin: select_nodes(admin, selector))]
    columns = [
        column("NAME", "name"),
        column("STATUS", "status"),
        column("CLUSTER", "cluster"),
        time_column("LAST SEEN", "last_seen"),
        Column(title="OS", show=lambda row: text_of(row["facts"]["os"])),
        column("LABELS", "labels"),
        Column(title="ARCH", show=lambda row: text_of(row["facts"]["arch"]), is_wide=True),
        column("AGENT", "agent_version", is_wide=True),
        column("ID", "id", is_wide=True),
    ]
    emit_list(invocation, rows, columns, empty="no nodes; add one: edgectl enroll-key create")


@app.command(epilog="Example: edgectl node show edge07 -o json")
def show(ctx: typer.Context, node: Node) -> None:
    """Show one node."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.nodes.Get, pb.GetNodeRequest(node=node)))
    emit_object(invocation, shapes.node(found))


@app.command("set", epilog="Example: edgectl node set edge07 --label site=oslo --unlabel role")
def set_node(
    ctx: typer.Context,
    node: Node,
    label: Annotated[list[str] | None, typer.Option(help="Label name=value to add or replace.")] = None,
    unlabel: Annotated[list[str] | None, typer.Option(help="Label name to remove.")] = None,
) -> None:
    """Set and remove labels."""
    invocation = invocation_of(ctx)
    if not label and not unlabel:
        raise UsageError("nothing to set", hint="give --label name=value or --unlabel name")
    request = pb.UpdateNodeRequest(node=node, set_labels=read_labels(label or []), unset_labels=unlabel or [])
    changed = ask(invocation, lambda admin: admin.call(admin.nodes.Update, request))
    emit_object(
        invocation, shapes.node(changed), text=f"{changed.name}: {text_of(dict(changed.labels)) or 'no labels'}"
    )


@app.command(epilog="Example: edgectl node alias 9f3c web-1")
def alias(
    ctx: typer.Context,
    node: Node,
    name: Annotated[str, typer.Argument(help="The name to give or take away.")],
    delete: Annotated[bool, typer.Option("--delete", help="Take the name away.")] = False,
) -> None:
    """Give a node one more name, or take one away."""
    invocation = invocation_of(ctx)

    async def work(admin: Admin) -> pb.Node:
        if delete:
            return await admin.call(admin.nodes.RemoveAlias, pb.RemoveAliasRequest(node=node, alias=name))
        return await admin.call(admin.nodes.AddAlias, pb.AddAliasRequest(node=node, alias=name))

    changed = ask(invocation, work)
    emit_object(invocation, shapes.node(changed), text=f"{changed.name}: {text_of(list(changed.aliases))}")


@app.command(epilog="Example: edgectl node move edge07 bergen")
def move(
    ctx: typer.Context, node: Node, cluster: Annotated[str, typer.Argument(help="Name of the new cluster.")]
) -> None:
    """Move a node with its aliases to another cluster."""
    invocation = invocation_of(ctx)
    request = pb.MoveNodeRequest(node=node, cluster=cluster)
    moved = ask(invocation, lambda admin: admin.call(admin.nodes.Move, request))
    emit_object(invocation, shapes.node(moved), text=f"{moved.name} is in {moved.cluster} now")


@app.command(epilog="Example: edgectl node delete edge07 --yes")
def delete(ctx: typer.Context, node: Node, yes: Yes = False) -> None:
    """Delete a node: its credential stops working at once; what runs there becomes `lost`, what waits `dropped`."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete node {node}", is_yes=yes)
    ask(invocation, lambda admin: admin.call(admin.nodes.Delete, pb.DeleteNodeRequest(node=node)))
    note(f"deleted node {node}")
