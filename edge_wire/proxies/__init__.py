"""The protocols of proxy ports, HTTP and SOCKS, and serving a client of one. They never dial: a gate does."""
