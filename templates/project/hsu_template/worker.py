"""What a worker serves: `hsu-worker serve hsu_template.worker:app`."""

from hsu_worker import App

from hsu_template import __version__
from hsu_template.hsu_interface import HsuInterfaceService

app = App(
    HsuInterfaceService(),
    name="hsu-template",
    version=__version__,
)
