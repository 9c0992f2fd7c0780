"""`edgectl explain`. Imports no gRPC: what is explained is part of the program."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from edgectl import schemas
from edgectl.app import new_app
from edgectl.explanations import Topic, explanation_row, find_topics, list_topics, schema_named, topic_row
from edgectl.invocation import Invocation
from edgectl.options import invocation_of
from edgectl.output import column, emit_list, emit_object

app = new_app("Explain a schema, an error code or an exit code.")

EXAMPLES = """Examples:

edgectl explain

edgectl explain edgectl.exec.event/v1 > event.schema.json

edgectl explain node_offline

edgectl explain 4"""

_KINDS = {
    "error": "error code",
    "execution_error": "error code of an execution",
    "outcome": "outcome of an execution",
    "exit_code": "exit code of edgectl",
}


@app.command(epilog=EXAMPLES)
def explain(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A schema, an error code, an outcome or an exit code. Default: all that there are.")
    ] = "",
) -> None:
    """Print a schema, or what a code means and what to do next; without a name, all that can be explained."""
    invocation = invocation_of(ctx)
    if not name:
        _list(invocation)
        return
    schema = schema_named(name)
    if schema is not None:
        document = schemas.load(schema)
        emit_object(invocation, document, text=json.dumps(document, indent=2, ensure_ascii=False))
        return
    topics = find_topics(name)
    emit_object(invocation, explanation_row(name, topics), text="\n\n".join(_page(topic) for topic in topics))


def _list(invocation: Invocation) -> None:
    rows = [topic_row(topic) for topic in list_topics()]
    columns = [column("NAME", "name"), column("KIND", "kind"), column("MEANING", "meaning")]
    emit_list(invocation, rows, columns, empty="nothing")


def _page(topic: Topic) -> str:
    facts = [
        f"{topic.name}: {_KINDS[topic.kind]}",
        topic.meaning,
        f"exit code    {topic.exit_code}" if topic.exit_code is not None and topic.kind != "exit_code" else "",
        f"gRPC status  {topic.grpc_status}" if topic.grpc_status else "",
        f"repeatable   {'yes' if topic.is_retryable else 'no'}" if topic.is_retryable is not None else "",
        f"next         {topic.next_step}",
    ]
    return "\n".join(line for line in facts if line)
