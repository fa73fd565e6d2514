"""An HSU that finds documents by their words: `hsu-worker serve hsu_b_service1:App`."""

import hsu_worker
from hsu_b_service1.service import Index

App = hsu_worker.App(Index(), name="hsu-b-service1", version="0.1.0")
