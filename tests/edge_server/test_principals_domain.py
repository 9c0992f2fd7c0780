"""Checks what a credential may see and hand out."""

from __future__ import annotations

import pytest

from edge_server.principals.domain import Role
from edge_wire.errors import Denied, ScopeDenied
from tests.edge_server.fleet import a_caller

EVERYWHERE = a_caller(clusters=None).principal
OSLO_ONLY = a_caller(clusters=["id-of-oslo"]).principal
NOWHERE = a_caller(clusters=[]).principal


def test_a_credential_without_a_scope_sees_every_cluster() -> None:
    EVERYWHERE.require_cluster("id-of-oslo", "oslo")
    EVERYWHERE.require_installation()


def test_a_confined_credential_sees_its_own_clusters_only() -> None:
    OSLO_ONLY.require_cluster("id-of-oslo", "oslo")
    with pytest.raises(ScopeDenied, match="confined to other clusters than bergen"):
        OSLO_ONLY.require_cluster("id-of-bergen", "bergen")
    with pytest.raises(ScopeDenied, match="whole installation"):
        OSLO_ONLY.require_installation()


def test_a_scope_without_clusters_is_nothing_and_not_everything() -> None:
    assert not NOWHERE.may_see("id-of-oslo")
    with pytest.raises(ScopeDenied):
        NOWHERE.require_installation()


@pytest.mark.parametrize("role", Role)
def test_an_admin_hands_out_every_role(role: Role) -> None:
    a_caller(role=Role.ADMIN).principal.require_role_at_most(role)


@pytest.mark.parametrize("role", Role)
def test_others_hand_out_their_own_role_only(role: Role) -> None:
    operator = a_caller(role=Role.OPERATOR).principal
    if role is Role.OPERATOR:
        operator.require_role_at_most(role)
        return
    with pytest.raises(Denied, match=f"an? operator cannot hand out the role {role}"):
        operator.require_role_at_most(role)
