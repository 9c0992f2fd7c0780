"""What completion knows of the installation of a context, looked up only when a candidate needs it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property

from edge_wire.errors import EdgeError
from edgectl.completion import cache, freshness
from edgectl.completion.cache import Known
from edgectl.completion.candidates import Candidate
from edgectl.contexts import Context, Contexts, load_contexts


class Installation:
    """The names of one installation; what cannot be known is nothing, never an error."""

    def __init__(self, context: str) -> None:
        self._context = context

    def nodes(self) -> Sequence[Candidate]:
        """Names of nodes, with their clusters where there are several."""
        has_several = len({cluster for _, cluster in self._known.nodes}) > 1
        return [Candidate(name, cluster if has_several else "") for name, cluster in self._known.nodes]

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Values of labels by name."""
        return self._known.labels

    def clusters(self) -> Sequence[Candidate]:
        """Names of clusters."""
        return [Candidate(name) for name in self._known.clusters]

    def commands(self) -> Sequence[Candidate]:
        """Full ids of commands with their programs, newest first."""
        return [Candidate(*pair) for pair in self._known.commands]

    def contexts(self) -> Sequence[Candidate]:
        """Names of contexts with their first admin."""
        return [Candidate(name, item.admin_urls[0]) for name, item in self._contexts.by_name.items() if item.admin_urls]

    def topics(self) -> Sequence[Candidate]:
        """What can be explained."""
        from edgectl.explanations import list_topics

        return [Candidate(topic.name, topic.meaning) for topic in list_topics()]

    @cached_property
    def _contexts(self) -> Contexts:
        try:
            return load_contexts()
        except EdgeError:
            return Contexts()

    @cached_property
    def _known(self) -> Known:
        name = self._context or os.environ.get("EDGECTL_CONTEXT") or self._contexts.current
        context = self._contexts.by_name.get(name)
        path = cache.path_of(name)
        if context is None or path is None:
            return Known()
        freshness.make_fresh(path, name)
        return cache.load(path, fingerprint(context))


def fingerprint(context: Context) -> str:
    """Which installation a context belongs to."""
    from hashlib import sha256

    return sha256(context.ca_certificate).hexdigest()[:16]
