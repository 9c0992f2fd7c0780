"""What an attacker would ask a node to dial, as data: for the policy's own tests and for whatever asks it.

`ATTEMPTS` are refused by their spelling or by the policy before anything is resolved, `REBINDING` by what the name
resolves to, `MALFORMED` are no targets at all. `REACHABLE` must pass: a policy that denies everything is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from edge_wire.egress import Address, EgressPolicy, Reason

OWN_PORTS = frozenset({43128, 41080})
OWN_ADDRESSES: tuple[Address, ...] = (ip_address("192.168.7.2"), ip_address("2001:db8:7::2"))
"""Of the node that the corpus is about."""


def policy_of_the_corpus() -> EgressPolicy:
    """A node's policy as it is without any setting."""
    return EgressPolicy(own_ports=OWN_PORTS, own_addresses=OWN_ADDRESSES)


@dataclass(frozen=True)
class Attempt:
    """One spelling of a target, and why it is denied."""

    host: str
    port: int
    reason: Reason


_LOOPBACK = """
    127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 127.0.0.53 2130706433 2130706433. 017700000001 0x7f000001
    0X7F000001 0x7F.1 0x7f.0.0.1 0x7f.0x0.0x0.0x1 0177.0.0.1 0177.1 0177.0.0.01 00000177.0.0.1 127.0x1 127.00.00.01
    0x0000000000000000007f000001 127.65537 127.16777215
    ::1 [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [0::1] [::0.0.0.1]
    [::ffff:127.0.0.1] [::FFFF:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] ::ffff:127.0.0.1
    [::127.0.0.1] [::7f00:1] [::ffff:0:127.0.0.1] [::ffff:0:7f00:1]
    [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::127.0.0.1] [64:ff9b:1:ffff::127.0.0.1]
    [64:ff9b:1:7f00:0:100::] [64:ff9b:1:7f:0:1::] [64:ff9b:1:0:7f:0:100:0]
    [2002:7f00:1::] [2002:7f00:1::1] [2002:7f00:0001:1234:5678:9abc:def0:1]
    [2001:0:7f00:1:0:0:f7f7:f7f7] [2001:0:808:808:0:0:80ff:fffe] [2001:0:4136:e378:8000:63bf:80ff:fffe]
    [2001:db8::5efe:127.0.0.1] [2001:db8::200:5efe:127.0.0.1] [2001:db8::5efe:7f00:1] [2001:db8::300:5efe:7f00:1]
    localhost LOCALHOST LocalHost localhost. app.localhost a.b.LOCALHOST. localhost.localdomain localhost4 localhost6
    localhost6.localdomain6 localhost4.localdomain4 ip6-localhost ip6-loopback IP6-LOCALHOST.
"""

_UNSPECIFIED = """
    0.0.0.0 0 0. 00 0x0 0x00000000 0.0 0.0.0 000.000.000.000 0.1.2.3 0.255.255.255 0x0.1
    :: [::] [0:0:0:0:0:0:0:0] [::0.0.0.0] [::ffff:0.0.0.0] [::ffff:0:0] [::2] [::0.1.2.3]
    [64:ff9b::] [64:ff9b::0.0.0.0] [2002::] [2002:0:1::] [2001:0:0:0:0:0:f7f7:f7f7]
    [2001:db8::5efe:0.0.0.0] [::ffff:0:0.0.0.0]
"""

_LINK_LOCAL = """
    169.254.0.1 169.254.1.1 169.254.255.255 0xa9fe0101 2851995905 0251.0376.1.1 169.254.257
    [fe80::1] fe80::1 [FE80::1] [fe80:0:0:1::1] [febf:ffff::1] [fec0::1] [feff::1]
    [::ffff:169.254.1.1] [::ffff:a9fe:101] [::169.254.1.1] [64:ff9b::169.254.1.1] [2002:a9fe:101::]
    [fe80::5efe:10.0.0.1]
"""

_METADATA = """
    169.254.169.254 169.254.169.254. 2852039166 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0xa9.254.0251.254 0251.0376.0251.0376
    025177524776 169.254.43518 169.16689662 169.254.0xa9fe
    [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::169.254.169.254] [::ffff:0:169.254.169.254]
    [64:ff9b::a9fe:a9fe] [64:ff9b::169.254.169.254] [64:ff9b:1::a9fe:a9fe] [64:ff9b:1:a9fe:a9:fe00::]
    [2002:a9fe:a9fe::1] [2001:0:a9fe:a9fe::f7f7:f7f7] [2001:0:808:808::5601:5601] [2001:db8::5efe:a9fe:a9fe]
    [fe80::a9fe:a9fe]
    169.254.170.2 169.254.170.23 2852039170 [fd00:ec2::254] [fd00:0ec2:0:0:0:0:0:0254] fd00:ec2::254 [FD00:EC2::23]
    [fd20:ce::254] 100.100.100.200 0x646464c8 1684301000 0144.0144.0144.0310 [64:ff9b::100.100.100.200]
    168.63.129.16 0xa83f8110 [::ffff:168.63.129.16] 192.0.0.192 [64:ff9b::192.0.0.192]
    metadata.google.internal METADATA.google.internal. metadata.goog instance-data instance-data.ec2.internal
"""

_OTHERS = {
    Reason.MULTICAST: "224.0.0.1 239.255.255.250 0xe0000001 [ff02::1] [ff0e::1] [::ffff:224.0.0.1] [2002:e000:1::]",
    Reason.BROADCAST: "255.255.255.255 4294967295 0xffffffff 037777777777 [::ffff:255.255.255.255] [::ffff:ffff:ffff]",
    Reason.RESERVED: "240.0.0.1 255.255.255.254 0xf0000001 [::ffff:240.0.0.1] [64:ff9b::f000:1]",
    Reason.OWN_ADDRESS: """192.168.7.2 0xc0a80702 3232237314 192.168.1794 [::ffff:192.168.7.2] [64:ff9b::192.168.7.2]
        [2002:c0a8:702::] [2001:db8:7::2] [2001:DB8:7:0:0:0:0:2]""",
}

_CONTROL_PORTS = (2375, 2376, 2377, 6443, 10250, 10255, 10257, 10259, 2379, 2380)

ATTEMPTS = [
    *(Attempt(host, 80, Reason.LOOPBACK) for host in _LOOPBACK.split()),
    *(Attempt(host, 80, Reason.UNSPECIFIED) for host in _UNSPECIFIED.split()),
    *(Attempt(host, 80, Reason.LINK_LOCAL) for host in _LINK_LOCAL.split()),
    *(Attempt(host, 80, Reason.METADATA) for host in _METADATA.split()),
    *(Attempt(host, 80, reason) for reason, hosts in _OTHERS.items() for host in hosts.split()),
    *(Attempt("10.0.0.5", port, Reason.CONTROL_PORT) for port in _CONTROL_PORTS),
    Attempt("docker.lan", 2375, Reason.CONTROL_PORT),
    Attempt("[fd12::5]", 6443, Reason.CONTROL_PORT),
    Attempt("0x0a000005", 10250, Reason.CONTROL_PORT),
    Attempt("10.0.0.5", 43128, Reason.OWN_PORT),
    Attempt("other.lan", 41080, Reason.OWN_PORT),
    Attempt("127.0.0.1", 2375, Reason.LOOPBACK),
    Attempt("127.0.0.1", 43128, Reason.LOOPBACK),
]

MALFORMED = [
    *("", " ", ".", "..", "a..b", ".a", "a..", "localhost..", "-a.lan", "a-.lan", "a" * 64, "a." * 127 + "a"),
    *("127.0.0.1 ", " 127.0.0.1", "127.0.0.1 x", "127.0.0.1\t", "127.0.0.1\n", "127.0.0.1\r\nHost: x"),
    *("127.0.0.1\x00", "127.0.0.1\x00.example.com", "example.com\x00", "a\x1b.lan", "a\x7f.lan"),
    *("127.0.0.1%00", "%31%32%37.0.0.1", "localhos%74", "fe80::1%eth0", "[fe80::1%eth0]", "[fe80::1%25eth0]", "::1%1"),
    *("user@127.0.0.1", "a@b.lan", "127.0.0.1/", "a/b", "a\\b", "http://127.0.0.1", "a?b", "a#b", "a:b", "127.1:80"),
    *("１２７.0.0.1", "①27.0.0.1", "127。0。0。1", "ⓛocalhost", "loca\u212ahost", "\u017f.lan", "bücher.example"),
    *("[::１]", "٣.lan", "1.1.1.٣"),
    *("256.0.0.1", "127.0.0.256", "1.2.3.4.5", "127.0.0.0x1ff", "4294967296", "0x100000000", "040000000000"),
    *("09", "127.08.0.1", "0x", "127.0x", "0x7g.1", "127..1", "a.1", "example.0x7f", "foo.08", "1.2.3.4.."),
    *("[::1", "::1]", "[]", "[127.0.0.1]", "[localhost]", "[::1].", "[[::1]]", "[::1]x", ":::1", "1::2::3", "::1/128"),
    *("[::ffff:0177.0.0.1]", "[::ffff:127.1]", "[::ffff:127.0.0.1.]", "12345::", "1:2:3:4:5:6:7:8:9", "[v1.a:b]"),
    *("0" * 260 + "1", "9" * 5000, "a" * 100_000, "\ud800", "\u202e1.0.0.721"),
]
"""No host at all, whatever the port."""

REBINDING = [
    ("rebind.example", ["93.184.216.34", "127.0.0.1"], Reason.LOOPBACK),
    ("rebind.example", ["127.0.0.1", "93.184.216.34"], Reason.LOOPBACK),
    ("rebind.example", ["93.184.216.34", "::1"], Reason.LOOPBACK),
    ("rebind.example", ["10.0.0.1", "::ffff:169.254.169.254"], Reason.METADATA),
    ("169.254.169.254.nip.io", ["169.254.169.254"], Reason.METADATA),
    ("127.0.0.1.nip.io", ["127.0.0.1"], Reason.LOOPBACK),
    ("nat64.example", ["64:ff9b::7f00:1"], Reason.LOOPBACK),
    ("zero.example", ["0.0.0.0"], Reason.UNSPECIFIED),
    ("zone.example", ["fe80::1%2"], Reason.LINK_LOCAL),
    ("zone.example", ["fe80::a9fe:a9fe%2"], Reason.METADATA),
    ("self.example", ["192.168.7.2"], Reason.OWN_ADDRESS),
    ("self.example", ["2001:db8:7::2"], Reason.OWN_ADDRESS),
    ("group.example", ["ff02::1"], Reason.MULTICAST),
]
"""Names that look harmless, what they resolve to, and why no connection is made."""

_REACHABLE = """
    10.0.0.5 172.16.3.4 192.168.1.5 192.168.7.3 100.64.0.7 100.100.100.1 93.184.216.34 0x0a000005 8.8.8.8 1.0.0.0
    126.255.255.255 128.0.0.1 169.253.255.255 169.255.0.0 223.255.255.255
    [fd00::1] fd12:3456::1 [fe00::1] [2606:2800:220:1::1] [2001:db8:7::3] [::ffff:10.0.0.5] [::10.0.0.5]
    [64:ff9b::8.8.8.8] [64:ff9b:1:2::8.8.8.8] [64:ff9b:1:808:8:800::] [2002:0808:0808::1] [2001:0:808:808::f7f7:f7f7]
    [2001:db8::5efe:10.0.0.1]
    printer.lan printer example.com. EXAMPLE.com xn--bcher-kva.example _http._tcp.example 3com 1and1.com 0x7f.example
    localhost.example.com notlocalhost mylocalhost.lan metadata.google.internal.example 127.0.0.1.nip.io
    node-web-1.cluster-oslo.nm.internal
"""

REACHABLE = _REACHABLE.split()
"""The LAN and the internet, which is what the node is asked for."""
