"""The roles of certificates and the server name that each has. Imports nothing, so that a client starts fast."""

from __future__ import annotations

from typing import Literal

Role = Literal["admin", "node"]

SERVER_NAMES: dict[Role, str] = {"admin": "admin.edge.internal", "node": "node.edge.internal"}
"""The DNS name in every certificate of a role; clients ask for it whatever host they dial."""
