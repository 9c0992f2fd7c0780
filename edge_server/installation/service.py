"""The installation's CA: made by the first admin, read by all others."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy.orm import Session

from edge_server.db.database import Database
from edge_server.encryption import Cipher
from edge_server.installation import repository
from edge_server.installation.models import InstallationRow
from edge_wire import certificates
from edge_wire.certificates import Authority

_PURPOSE = "ca-key"


async def open_installation(db: Database, cipher: Cipher, now: datetime) -> Authority:
    """The installation's CA; the very first call makes it. Raises SettingsInvalid when ENCRYPTION_KEY does not fit."""
    row = await db.write(lambda tx: _find_or_make(tx, cipher, now))
    key = cipher.decrypt(row.ca_key_encrypted, purpose=_PURPOSE)
    return certificates.load_authority(row.ca_certificate, key)


def _find_or_make(tx: Session, cipher: Cipher, now: datetime) -> InstallationRow:
    found = repository.find(tx)
    if found:
        return found
    installation_id = str(uuid4())
    authority = certificates.new_authority(installation_id)
    return repository.insert_if_absent(
        tx,
        InstallationRow(
            id=1,
            installation_id=installation_id,
            ca_certificate=authority.der,
            ca_key_encrypted=cipher.encrypt(certificates.key_pem(authority.key), purpose=_PURPOSE),
            created_at=now,
        ),
    )
