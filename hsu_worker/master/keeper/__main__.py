"""`python -I -S keeper <pid of the master>`."""

import importlib
import sys

# The folder beside which this one lies takes the place of this one: its modules then are those of a
# package `keeper`, and nothing else of ours is imported.
sys.path[0] = sys.path[0].rpartition("/")[0]
begin = importlib.import_module("keeper.begin")
del sys.path[0]
begin.main()
