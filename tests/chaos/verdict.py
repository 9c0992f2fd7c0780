"""The proof: every promise as a claim over the evidence. Pure; a claim that does not hold is returned with what speaks
against it. It shares no code with the programs that it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos import client_claims, execution_claims
from tests.chaos.case import Case
from tests.chaos.ledger import Evidence


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A claim that does not hold."""

    claim: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.claim}: {self.evidence}"


def judge(evidence: Evidence) -> list[Violation]:
    """Every claim that does not hold; none when all is well."""
    case = Case(evidence)
    return [Violation(claim=claim, evidence=text) for claim, check in _CLAIMS.items() for text in check(case)]


_CLAIMS: dict[str, Callable[[Case], Iterator[str]]] = {
    "no execution ran twice": execution_claims.nothing_ran_twice,
    "nothing ran that was not accepted": execution_claims.nothing_ran_unasked,
    "every accepted command and execution has one final outcome": execution_claims.everything_is_over,
    "every wanted node has exactly one execution": execution_claims.each_node_has_one_execution,
    "every recorded outcome and exit code is true": execution_claims.outcomes_are_true,
    "nothing ended in a way that nobody asked for": execution_claims.outcomes_have_a_reason,
    "lost only where a runner died": execution_claims.lost_only_where_a_runner_died,
    "offline only where there was no session": execution_claims.offline_only_without_a_session,
    "clients were told the truth": client_claims.clients_were_told_the_truth,
    "an answer is kept, and a repeated request makes nothing new": client_claims.answers_are_kept,
    "the output of what came to its end is stored": execution_claims.output_is_kept,
    "output is cut only where a runner died": execution_claims.output_is_cut_only_where_a_runner_died,
    "a client that heard an end received every byte, or was told which not": client_claims.clients_received_every_byte,
    "what ended well had all of its stdin": execution_claims.stdin_arrived,
    "every node is back": execution_claims.every_node_is_back,
    "nothing is left behind on the nodes": execution_claims.nothing_is_left_behind,
    "nobody waits for what is over": client_claims.nobody_waits_for_what_is_over,
    "nobody met an internal error": client_claims.nobody_met_an_internal_error,
}
CLAIMS = tuple(_CLAIMS)
"""What is proven, in words."""
