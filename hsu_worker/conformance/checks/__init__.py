"""The checks, one file per part of a worker's life."""
