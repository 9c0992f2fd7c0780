"""The embedded SSH server of a node: logins that the admin admits, and what runs in them."""
