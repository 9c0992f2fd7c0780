"""A second machine joins by pasting what `edgectl enroll-key create` prints: another network, nothing installed yet.

The machines are two network namespaces; the second has an /etc, /opt and /var of its own, so that nothing of this
machine is touched. Wheels lie beside it because no package index can be reached from there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.netns import Namespace, NamespacePair
from tests.support.programs import Finished, clean_environment, run_program

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SERVER_PACKAGES = {"sqlalchemy", "alembic", "psycopg", "typer", "rich", "pydantic", "pydantic-settings", "keyring"}

MACHINE = """
set -eu
mount --make-rprivate /
cp -a /etc "$SCRATCH/etc"
mount --bind "$SCRATCH/etc" /etc
for directory in /opt /var/lib /run; do mount -t tmpfs none $directory; done
bash -eu "$SCRATCH/pasted" 2>&1
/opt/edge-agent/bin/pip list --format=freeze > "$SCRATCH/packages"
cp /etc/systemd/system/edge-agent.service "$SCRATCH/unit"
# What systemd would do with the unit.
export $(sed -n 's/^Environment=//p' "$SCRATCH/unit")
exec $(sed -n 's/^ExecStart=//p' "$SCRATCH/unit") 2>&1
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel of this project and those that a node needs."""
    source = tmp_path_factory.mktemp("source")
    for name in ("edge_wire", "edge_agent", "edge_server", "edgectl"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    made = tmp_path_factory.mktemp("wheels")
    command = ["-m", "pip", "wheel", "--quiet", "--wheel-dir", str(made), "-c", str(ROOT / "constraints.txt")]
    subprocess.run([sys.executable, *command, str(source)], check=True, stdin=subprocess.DEVNULL)
    return made


async def operate(side: Namespace, directory: Path, *words: str, stdin: bytes = b"") -> Finished:
    """`edgectl`, typed on the first machine."""
    environ = {"EDGECTL_CONFIG_DIR": str(directory / "config")}
    return await run_program("edgectl", *words, environ=environ, stdin=stdin, prefix=("ip", "netns", "exec", side.name))


@pytest.mark.timeout(240)
async def test_the_pasted_lines_make_a_second_machine_a_node(
    namespaces: NamespacePair, wheels: Path, tmp_path: Path
) -> None:
    left, right = namespaces.left, namespaces.right
    await _serve(left, tmp_path, wheels)
    login = (tmp_path / "admin" / "login").read_bytes()
    assert (await operate(left, tmp_path, "login", "--keyring", "file", stdin=login)).code == 0
    pasted = await operate(left, tmp_path, "enroll-key", "create")
    assert pasted.code == 0, pasted.err
    scratch = tmp_path / "second"
    scratch.mkdir()
    (scratch / "pasted").write_text(pasted.text)
    environ = clean_environment({"SCRATCH": str(scratch), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)})
    with (scratch / "log").open("wb") as log:
        machine = right.popen(
            ["unshare", "--mount", "bash", "-c", MACHINE], env=environ, stdout=log.fileno(), stderr=log.fileno()
        )

    async def node() -> dict[str, object] | None:
        assert machine.poll() is None, (scratch / "log").read_text()
        listed = json.loads((await operate(left, tmp_path, "node", "list", "-o", "json")).text)
        return listed[0] if listed and listed[0]["status"] == "online" else None

    found = await eventually(node, within=150.0, what="the second machine is online")
    assert found is not None
    name = str(found["name"])
    where = await operate(left, tmp_path, "exec", name, "--", "ip", "-o", "-4", "address", "show", "dev", "edge0")
    assert f"inet {right.address}/" in where.text
    _check_installation(scratch)
    await _check_cut_cable(namespaces, tmp_path, name)


async def _serve(side: Namespace, directory: Path, wheels: Path) -> None:
    environ = clean_environment(
        {
            "DATA_DIR": str(directory / "admin"),
            "GRPC_LISTEN": f"{side.address}:44100",
            "AGENT_INSTALL_SOURCE": str(next(wheels.glob("edgectl-*.whl"))),
            "PING_INTERVAL_SECONDS": "0.5",
            "PING_DEAD_AFTER_SECONDS": "1.5",
        }
    )
    with (directory / "admin.log").open("wb") as log:
        side.popen(
            [sys.executable, "-m", "edge_server", "serve"], env=environ, stdout=log.fileno(), stderr=log.fileno()
        )
    text = directory / "admin.log"
    await eventually(lambda: "log in with" in text.read_text(), within=30.0, what=text.read_text())


def _check_installation(scratch: Path) -> None:
    """The unit runs the agent and leaves its runner alone; a node carries none of the server's packages."""
    unit = (scratch / "unit").read_text()
    assert "ExecStart=/opt/edge-agent/bin/edge-agent run\n" in unit
    assert "KillMode=process\n" in unit
    assert "ek1." not in unit
    installed = {line.partition("==")[0].lower() for line in (scratch / "packages").read_text().splitlines()}
    assert "grpcio" in installed
    assert installed & SERVER_PACKAGES == set()


async def _check_cut_cable(namespaces: NamespacePair, directory: Path, name: str) -> None:
    """With the cable out the node is offline; with the cable in it comes back by itself."""
    await asyncio.to_thread(namespaces.cut)

    async def status() -> str:
        shown = await operate(namespaces.left, directory, "node", "show", name, "-o", "json")
        return str(json.loads(shown.text)["status"])

    async def is_offline() -> bool:
        return await status() == "offline"

    async def is_online() -> bool:
        return await status() == "online"

    await eventually(is_offline, within=30.0)
    await asyncio.to_thread(namespaces.join)
    await eventually(is_online, within=60.0)
    assert (await operate(namespaces.left, directory, "exec", name, "--", "echo", "back")).text == "back\n"
