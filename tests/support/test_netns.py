"""Checks the network namespaces of the tests itself: they are joined, apart from the machine, and always removed."""

import subprocess
import sys

import pytest

from tests.support.eventually import eventually
from tests.support.netns import INTERFACE, NamespacePair, joined_namespaces, names

pytestmark = [pytest.mark.root, pytest.mark.netns]

SERVE = """
import socket
listener = socket.create_server(("{address}", 7000))
while True:
    connection, peer = listener.accept()
    connection.sendall(peer[0].encode())
    connection.close()
"""
ASK = """
import socket
with socket.create_connection(("{address}", 7000), timeout=5) as connection:
    print(connection.recv(100).decode())
"""


async def test_one_side_reaches_the_other_under_its_own_address(namespaces: NamespacePair) -> None:
    left, right = namespaces.left, namespaces.right
    left.popen([sys.executable, "-c", SERVE.format(address=left.address)])

    def answer() -> str:
        try:
            return right.run([sys.executable, "-c", ASK.format(address=left.address)]).strip()
        except RuntimeError:
            return ""

    assert await eventually(answer, what="an answer through the cable") == right.address


async def test_a_cut_cable_can_be_joined_again(namespaces: NamespacePair) -> None:
    def carrier() -> str:
        return namespaces.right.run(["cat", f"/sys/class/net/{INTERFACE}/carrier"]).strip()

    namespaces.cut()
    assert await eventually(lambda: carrier() == "0", what="no carrier after the cut")
    namespaces.join()
    assert await eventually(lambda: carrier() == "1", what="a carrier after joining")


def test_the_machine_itself_does_not_see_the_addresses(namespaces: NamespacePair) -> None:
    shown = subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    assert namespaces.left.address not in shown


def test_namespaces_and_their_processes_are_gone_after_a_failure() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def fail_inside() -> None:
        with joined_namespaces() as pair:
            started.append(pair.left.popen(["sleep", "1000"]))
            assert pair.left.name in names()
            raise ArithmeticError(pair.left.name)

    with pytest.raises(ArithmeticError) as raised:
        fail_inside()
    assert str(raised.value) not in names()
    assert started[0].poll() is not None
