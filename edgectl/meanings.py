"""What the words of the contract mean and what to do next: outcomes, exit codes, and the next step for error codes.

For `edgectl explain`. What an error code means is said in `edge_wire.errors`, its one place.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """What a word means, and what to do about it."""

    text: str
    next_step: str


OUTCOMES: dict[str, Meaning] = {
    "ok": Meaning("The program ended with exit code 0.", "Nothing."),
    "failed": Meaning(
        "The program ended with another exit code or by a signal, or it could not be started.",
        "Read what it wrote, and the code and message of the end: edgectl command show COMMAND -o json",
    ),
    "timed_out": Meaning(
        "It ran longer than --timeout: SIGTERM to its process group, SIGKILL after --kill-after.",
        "Give it a longer --timeout, or find out what it waits for.",
    ),
    "cancelled": Meaning("It was ended by Ctrl-C or a cancel.", "Run it again if it was not meant."),
    "offline": Meaning(
        "The node had no session; it was never delivered.",
        "See since when: edgectl node show NODE. With --offline queue it waits for the node.",
    ),
    "no_contact": Meaning(
        "The node's session was gone for longer than --contact-timeout; what was started runs on.",
        "See what became of it once the node is back: edgectl command show COMMAND",
    ),
    "not_started": Meaning(
        "A cancel, --max-errors or --deadline came before its turn; it was never delivered.",
        "See who that was, and why: edgectl command show COMMAND",
    ),
    "expired": Meaning(
        "It waited for its node for longer than --expires; it was never started.",
        "Run it again when the node is back, or with a longer --expires.",
    ),
    "dropped": Meaning(
        "The node was deleted.", "Enroll the machine again if it is still there: edgectl enroll-key create"
    ),
    "lost": Meaning(
        "It may have started, and its end cannot be known. The node itself says so, never a timer.",
        "Find out on the node what happened before anything is repeated.",
    ),
}
"""Every outcome, in the order of tables and counts."""

EXIT_CODES: dict[int, Meaning] = {
    0: Meaning("Everything asked for happened; for exec: every target ended as ok.", "Nothing."),
    1: Meaning("Internal error.", "Repeat it with --debug and report what it prints, with the request id."),
    2: Meaning("The command line is not understood, or a value is not acceptable.", "Add --help to the command."),
    3: Meaning(
        "Every target was reached, and at least one ended as failed, timed_out or cancelled.",
        "See who and why: edgectl command show COMMAND",
    ),
    4: Meaning(
        "At least one target ended as offline, no_contact, expired, dropped or lost; wins over 3.",
        "See who and why: edgectl command show COMMAND",
    ),
    5: Meaning("It was not found, or a selector matched nothing.", "Look at what there is: edgectl node list"),
    6: Meaning("Not logged in, or the credential was refused or has expired.", "edgectl login"),
    7: Meaning("The credential may not do that.", "Ask for a token with another role: edgectl token create"),
    8: Meaning(
        "Stopped before all had started, as by --max-errors.", "See who did not start: edgectl command show COMMAND"
    ),
    9: Meaning(
        "The admin cannot be reached or is over a limit.", "Repeat it; edgectl admin status says how the admin does."
    ),
    10: Meaning("The current state does not allow it.", "Look at the state that the message names, then decide."),
    124: Meaning("--deadline was reached; with one node named outright also --timeout.", "Give it more time."),
    129: Meaning("The terminal went away; a command that was accepted runs on.", "edgectl command show COMMAND"),
    130: Meaning("Interrupted by Ctrl-C.", "If a command goes on, its id was printed: edgectl command show COMMAND"),
    141: Meaning("Whoever read the output went away, as head does.", "Nothing."),
    143: Meaning("Terminated; a command that was accepted runs on.", "edgectl command show COMMAND"),
    255: Meaning(
        "One node named outright: edgectl itself failed, as OpenSSH says it. Its own code is in the line on stderr.",
        "edgectl explain CODE",
    ),
}
"""The fleet table, and what one node named outright adds to it; there 128+n stands for signal n."""

_NEXT_STEPS: dict[str, str] = {
    "admin_unreachable": "See whether it runs and where it is said to be: edgectl context show",
    "admin_untrusted": "The address is another installation's, or someone is in between. If it moved: edgectl login",
    "agent_running": "Stop the other agent of that data directory first.",
    "alias_exists": "See who has it: edgectl node show NAME",
    "alias_not_found": "See its names: edgectl node show NODE",
    "already_enrolled": "Nothing; to enroll it anew delete the node first: edgectl node delete NODE",
    "argv_invalid": "Name a program behind --: edgectl exec NODE -- PROGRAM [ARGUMENT...]",
    "argv_too_large": "Bring the data on stdin or as a script instead of as arguments.",
    "cluster_exists": "edgectl cluster show NAME",
    "cluster_not_empty": "Move or delete its nodes first: edgectl node list --cluster NAME",
    "cluster_not_found": "edgectl cluster list",
    "command_not_found": "edgectl command list",
    "command_open": "End it first: edgectl command cancel COMMAND",
    "context_exists": "edgectl context list",
    "context_not_found": "edgectl context list",
    "copy_failed": "Put right what the message names, then copy again.",
    "copy_interrupted": "Go on where it was: edgectl cp --resume SRC... DST",
    "copy_mismatch": "Copy it again; when it happens twice, see whether something writes to the source.",
    "copy_unchecked": "Install sha256sum and head on the node.",
    "credential_expired": "Have a new login string made, and edgectl login",
    "credential_unreadable": "On a machine without a keyring: edgectl login --keyring file",
    "database_in_use": "Stop the other admin of that file, or give them a PostgreSQL to share.",
    "database_newer": "Install the newer edge-server again.",
    "database_not_migrated": "edge-server migrate",
    "database_unavailable": "Repeat it once the admin's database is back.",
    "storage_full": "Free space on the disk of the admin's database, then repeat it.",
    "deadline": "Give the command a longer --deadline.",
    "deadline_exceeded": "Repeat it; edgectl admin status says how the admin does.",
    "demo_busy": "Wait for the other edgectl demo to end.",
    "demo_failed": "Read the log that the message names, then: edgectl demo up",
    "enrollment_key_expired": "edgectl enroll-key create",
    "enrollment_key_invalid": "edgectl enroll-key list",
    "enrollment_key_not_found": "edgectl enroll-key list",
    "enrollment_key_spent": "edgectl enroll-key create --uses N",
    "execution_lost": "Find out on the node what happened before anything is repeated.",
    "identity_in_use": "Two machines share one identity: enroll one of them anew with an empty data directory.",
    "internal": "Repeat it with --debug and report what it prints, with the request id.",
    "journal_full": "Repeat it once the node has handed over its results; it does so when it has a session.",
    "label_unknown": "See the labels that there are: edgectl node list -o wide",
    "machine_rebooted": "Find out on the node how far it came before anything is repeated.",
    "max_errors": "See what went wrong on the others: edgectl command show COMMAND",
    "message_too_large": "Ask for less at a time, or bring less.",
    "method_unimplemented": "The admin is of another version: edgectl version --server",
    "no_contact": "See what became of it once the node is back: edgectl command show COMMAND",
    "node_ambiguous": "Name one of those that the message lists, such as NAME.CLUSTER or more of the id.",
    "node_limit_reached": "edgectl cluster set NAME --node-limit N",
    "node_not_found": "edgectl node list",
    "node_offline": "See since when: edgectl node show NODE",
    "node_on_other_admin": "Repeat it against the admin that the message names.",
    "nodes_not_matched": "edgectl node list",
    "not_enrolled": "Enroll it: edgectl enroll-key create prints the lines to paste there.",
    "not_logged_in": "edgectl login, or edgectl demo up for a fleet on this machine",
    "output_incomplete": "Run it again and have it write to a file on the node.",
    "port_in_use": "Stop what listens there, or choose another port: GRPC_LISTEN",
    "program_not_executable": "Make it executable on the node: chmod +x",
    "program_not_found": "Install it on the node, or write its full path.",
    "protocol_unsupported": "Update the older of the two: edgectl version --server",
    "request_id_reused": "edgectl command list shows what it made; for another command give another --request-id.",
    "runner_died": "Find out on the node what happened before anything is repeated.",
    "secret_invalid": "Paste the whole line again.",
    "selector_empty": "Name nodes, or give --cluster NAME or --all.",
    "settings_invalid": "edge-server config show",
    "shutting_down": "Repeat it in a moment.",
    "spawn_failed": "Read the message; the node may be out of memory or processes.",
    "stream_broken": "See what became of the command: edgectl command list",
    "token_exists": "edgectl token list",
    "token_not_found": "edgectl token list",
    "too_many_attempts": "Wait a minute.",
    "usage": "Add --help to the command.",
    "user_denied": "Run the agent of that node as root, or leave out --user.",
    "user_unknown": "Make the account on the node, or name another --user.",
    "working_directory_not_found": "Name a directory that is on the node: --cwd",
}

_NEXT_STEP_OF_AN_EXECUTION = "See the whole of it: edgectl command show COMMAND -o json"


def next_step(code: str, exit_code: int | None) -> str:
    """What to do about an error code; without an own line it is what its exit code says."""
    if code in _NEXT_STEPS:
        return _NEXT_STEPS[code]
    return _NEXT_STEP_OF_AN_EXECUTION if exit_code is None else EXIT_CODES[exit_code].next_step
