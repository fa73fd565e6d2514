"""A worker as a plugin of a host that uses HashiCorp's go-plugin.

Everything that go-plugin asks of a plugin with gRPC, except its broker, by which host and plugin open
further connections to each other.
"""
