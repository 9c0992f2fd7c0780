"""What `edgectl explain` can explain: schemas, error codes, outcomes and exit codes. Imports nothing heavy."""

from __future__ import annotations

from typing import Any, NamedTuple

from edge_wire import errors
from edge_wire.errors import NotFound
from edge_wire.names import quoted
from edgectl import meanings, schemas


class Topic(NamedTuple):
    """One thing that can be explained. A word may be several, such as `no_contact`."""

    name: str
    kind: str
    meaning: str
    next_step: str = ""
    exit_code: int | None = None
    grpc_status: str | None = None
    is_retryable: bool | None = None


def list_topics() -> list[Topic]:
    """Everything, in the order of the kinds."""
    return [*_schemas(), *_errors(), *_execution_errors(), *_outcomes(), *_exit_codes()]


def schema_named(word: str) -> str | None:
    """The schema that is meant, with or without `edgectl.` and `/v1`; None when it is no schema."""
    full = word if word.startswith("edgectl.") else f"edgectl.{word}"
    known = schemas.names()
    return next((name for name in (full, f"{full}/v1") if name in known), None)


def find_topics(word: str) -> list[Topic]:
    """What a word stands for besides a schema. Raises NotFound, with the nearest names."""
    found = [topic for topic in list_topics() if topic.name == word and topic.kind != "schema"]
    if not found:
        raise NotFound(f"there is nothing called {quoted(word)}{_nearest(word)}", hint="edgectl explain")
    return found


def topic_row(topic: Topic) -> dict[str, Any]:
    """Schema `edgectl.topic/v1`."""
    return {"schema": "edgectl.topic/v1", "name": topic.name, "kind": topic.kind, "meaning": topic.meaning}


def explanation_row(word: str, topics: list[Topic]) -> dict[str, Any]:
    """Schema `edgectl.explanation/v1`."""
    return {
        "schema": "edgectl.explanation/v1",
        "name": word,
        "meanings": [
            {
                "kind": topic.kind,
                "meaning": topic.meaning,
                "next": topic.next_step,
                "exit_code": topic.exit_code,
                "grpc_status": topic.grpc_status,
                "retryable": topic.is_retryable,
            }
            for topic in topics
        ],
    }


def _schemas() -> list[Topic]:
    return [Topic(name, "schema", _first_sentence(schemas.load(name)["description"])) for name in schemas.names()]


def _errors() -> list[Topic]:
    return [
        Topic(
            code,
            "error",
            f"{errors.default_message(kind)}.",
            meanings.next_step(code, kind.exit_code),
            kind.exit_code,
            kind.status,
            kind.retryable,
        )
        for code, kind in sorted(errors.BY_CODE.items())
    ]


def _execution_errors() -> list[Topic]:
    return [
        Topic(code, "execution_error", text, meanings.next_step(code, None))
        for code, text in sorted(errors.EXECUTION_CODES.items())
    ]


def _outcomes() -> list[Topic]:
    return [Topic(word, "outcome", meaning.text, meaning.next_step) for word, meaning in meanings.OUTCOMES.items()]


def _exit_codes() -> list[Topic]:
    return [
        Topic(str(code), "exit_code", meaning.text, meaning.next_step, code)
        for code, meaning in meanings.EXIT_CODES.items()
    ]


def _nearest(word: str) -> str:
    from difflib import get_close_matches  # only who mistypes waits for it

    known = {topic.name for topic in list_topics()}
    short = {name.removeprefix("edgectl.").removesuffix("/v1"): name for name in known}
    near = get_close_matches(word, [*known, *short], n=4, cutoff=0.5)
    names = dict.fromkeys(short.get(name, name) for name in near)
    return f"; near it: {', '.join(names)}" if names else ""


def _first_sentence(text: str) -> str:
    return f"{text.partition('. ')[0].rstrip('.')}."
