"""`edgectl cluster`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_wire.v1 import cluster_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import ask
from edgectl.options import Yes, invocation_of
from edgectl.output import column, emit_list, emit_object, note, time_column

app = new_app("Clusters: list, show, create, set, delete.")

Name = Annotated[str, typer.Argument(help="Name of the cluster.")]
Limit = Annotated[int | None, typer.Option("--node-limit", min=1, help="How many nodes may be enrolled.")]


@app.command("list", epilog="Example: edgectl cluster list -o json")
def list_clusters(ctx: typer.Context) -> None:
    """List the clusters that you may see."""
    invocation = invocation_of(ctx)

    found = ask(invocation, lambda admin: admin.call(admin.clusters.List, pb.ListClustersRequest()))
    columns = [
        column("NAME", "name"),
        column("NODES", "node_count"),
        column("LIMIT", "node_limit"),
        time_column("CREATED", "created_at"),
        column("ID", "id", is_wide=True),
    ]
    rows = [shapes.cluster(item) for item in found.clusters]
    emit_list(invocation, rows, columns, empty="no clusters; make one: edgectl cluster create NAME")


@app.command(epilog="Example: edgectl cluster show oslo")
def show(ctx: typer.Context, name: Name) -> None:
    """Show one cluster."""
    invocation = invocation_of(ctx)

    found = ask(invocation, lambda admin: admin.call(admin.clusters.Get, pb.GetClusterRequest(name=name)))
    emit_object(invocation, shapes.cluster(found))


@app.command(epilog="Example: edgectl cluster create oslo --node-limit 200")
def create(ctx: typer.Context, name: Name, node_limit: Limit = None) -> None:
    """Make a cluster."""
    invocation = invocation_of(ctx)

    request = pb.CreateClusterRequest(name=name, node_limit=node_limit)
    made = ask(invocation, lambda admin: admin.call(admin.clusters.Create, request))
    emit_object(invocation, shapes.cluster(made), text=f"created cluster {made.name}")


@app.command("set", epilog="Example: edgectl cluster set oslo --node-limit 300")
def set_cluster(
    ctx: typer.Context,
    name: Name,
    node_limit: Limit = None,
    no_node_limit: Annotated[bool, typer.Option("--no-node-limit", help="Take the limit away.")] = False,
) -> None:
    """Change a cluster's node limit."""
    invocation = invocation_of(ctx)
    if (node_limit is None) is not no_node_limit:
        raise typer.BadParameter("give exactly one of --node-limit and --no-node-limit")

    request = pb.UpdateClusterRequest(name=name, node_limit=node_limit)
    changed = ask(invocation, lambda admin: admin.call(admin.clusters.Update, request))
    emit_object(invocation, shapes.cluster(changed), text=f"changed cluster {changed.name}")


@app.command(epilog="Example: edgectl cluster delete oslo --yes")
def delete(ctx: typer.Context, name: Name, yes: Yes = False) -> None:
    """Delete an empty cluster and its enrollment keys."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete cluster {name}", is_yes=yes)

    ask(invocation, lambda admin: admin.call(admin.clusters.Delete, pb.DeleteClusterRequest(name=name)))
    note(f"deleted cluster {name}")
