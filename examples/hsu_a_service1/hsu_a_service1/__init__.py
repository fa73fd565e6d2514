"""An HSU that summarises texts: `hsu-worker serve hsu_a_service1:App`."""

import hsu_worker
from hsu_a_service1.service import Summarizer

App = hsu_worker.App(Summarizer(), name="hsu-a-service1", version="0.1.0")
