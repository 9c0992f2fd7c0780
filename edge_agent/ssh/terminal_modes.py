"""The modes of a client's terminal, as it sends them (RFC 4254, section 8), set on ours."""

from __future__ import annotations

import contextlib
import struct
import termios

_CHARACTERS = {
    1: termios.VINTR,
    2: termios.VQUIT,
    3: termios.VERASE,
    4: termios.VKILL,
    5: termios.VEOF,
    6: termios.VEOL,
    7: termios.VEOL2,
    8: termios.VSTART,
    9: termios.VSTOP,
    10: termios.VSUSP,
    12: termios.VREPRINT,
    13: termios.VWERASE,
    14: termios.VLNEXT,
    18: termios.VDISCARD,
}
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6
_FLAGS = {
    30: (_IFLAG, termios.IGNPAR),
    31: (_IFLAG, termios.PARMRK),
    32: (_IFLAG, termios.INPCK),
    33: (_IFLAG, termios.ISTRIP),
    34: (_IFLAG, termios.INLCR),
    35: (_IFLAG, termios.IGNCR),
    36: (_IFLAG, termios.ICRNL),
    38: (_IFLAG, termios.IXON),
    39: (_IFLAG, termios.IXANY),
    40: (_IFLAG, termios.IXOFF),
    41: (_IFLAG, termios.IMAXBEL),
    42: (_IFLAG, 0o40000),  # IUTF8, RFC 8160; Python has no name for it
    50: (_LFLAG, termios.ISIG),
    51: (_LFLAG, termios.ICANON),
    53: (_LFLAG, termios.ECHO),
    54: (_LFLAG, termios.ECHOE),
    55: (_LFLAG, termios.ECHOK),
    56: (_LFLAG, termios.ECHONL),
    57: (_LFLAG, termios.NOFLSH),
    58: (_LFLAG, termios.TOSTOP),
    59: (_LFLAG, termios.IEXTEN),
    60: (_LFLAG, termios.ECHOCTL),
    61: (_LFLAG, termios.ECHOKE),
    70: (_OFLAG, termios.OPOST),
    72: (_OFLAG, termios.ONLCR),
    73: (_OFLAG, termios.OCRNL),
    74: (_OFLAG, termios.ONOCR),
    75: (_OFLAG, termios.ONLRET),
}
_END = 0
_UNDEFINED = 160
"""From this opcode on the length of what follows is not known."""
_NO_CHARACTER = 255
_MODE = struct.Struct(">BI")


def parse_modes(encoded: bytes) -> dict[int, int]:
    """Opcodes and their values; what cannot be read ends the list. Pure."""
    modes: dict[int, int] = {}
    for start in range(0, len(encoded) - _MODE.size + 1, _MODE.size):
        opcode, value = _MODE.unpack_from(encoded, start)
        if opcode == _END or opcode >= _UNDEFINED:
            break
        modes[opcode] = value
    return modes


def set_modes(descriptor: int, encoded: bytes) -> None:
    """Set what is known of these on a terminal; what it does not take is passed over."""
    with contextlib.suppress(OSError, termios.error):
        attributes = termios.tcgetattr(descriptor)
        for opcode, value in parse_modes(encoded).items():
            if opcode in _CHARACTERS:
                character = 0 if value == _NO_CHARACTER else value & 0xFF
                attributes[_CC][_CHARACTERS[opcode]] = bytes([character])
            elif opcode in _FLAGS:
                place, flag = _FLAGS[opcode]
                attributes[place] = attributes[place] | flag if value else attributes[place] & ~flag
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
