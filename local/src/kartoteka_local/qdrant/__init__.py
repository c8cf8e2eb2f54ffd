"""The embedded Qdrant: a loopback REST facade over the engine itself.

One process, one thread. It answers what Kartoteka asks of a Qdrant server, by the same client, and
501 with the name of the call to everything else. It is no server: no figure of its says anything
about one, and it survives kill -9, not power loss.
"""
