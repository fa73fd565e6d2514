"""The interfaces of hsu-template in `gen`, and a worker that serves them."""

__version__ = "0.1.0"
