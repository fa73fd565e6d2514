"""What the exit code of a worker says."""

from typing import Final

OK: Final = 0
#: Something hung on its way out; faulthandler's own.
HUNG: Final = 1
#: Nothing has been served.
NOT_STARTED: Final = 3
#: To its reloader: nothing has been served, and no change of the code mends that.
BEYOND_REPAIR: Final = 4
