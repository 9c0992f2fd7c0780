"""`edgectl cp`: files and directories to and from nodes over SFTP, many nodes at once.

From words to bytes: `places` understands what was typed, `fleet` copies with several nodes at a time, `node_copy` with
one, `tree_copy` walks and copies one source, between a `local_tree` and a `remote_tree`, which speaks through
`sftp_client`. What happens is told to a `Listener`; `progress` shows it, `results` sums it up.
"""
