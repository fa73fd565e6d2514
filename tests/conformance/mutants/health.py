"""Workers that break what checks/health.py asks for."""

from tests.conformance.mutants.mutant import Mutant

MUTANTS = (
    Mutant("health-states", '"SERVING" if running else', '"SERVING" if True else', "SERVING"),
    Mutant(
        "health-live",
        'if name == "live":',
        'if name == "live" and self.state == core.STATE_RUNNING:',
        "NOT_FOUND",
    ),
    Mutant(
        "health-unknown",
        "        return None\n\n    # ---- the life",
        "        return 2\n\n    # ---- the life",
        "NOT_SERVING",
    ),
    Mutant(
        "health-watch",
        "            await self.change()\n\n    async def List",
        "            await asyncio.sleep(3600)\n\n    async def List",
        "Watch tells no change",
    ),
    Mutant(
        "health-watch",
        "            await self.change()\n\n    async def List",
        "            return\n\n    async def List",
        "Watch has ended",
    ),
    Mutant(
        "health-watch",
        "        name, told = health_pb2",
        "        await context.abort(grpc.StatusCode.UNIMPLEMENTED, 'no Watch')\n"
        "        name, told = health_pb2",
        "UNIMPLEMENTED 'no Watch'",
    ),
    Mutant(
        "health-watch",
        "HealthCheckResponse(status=3 if status is None else status)",
        "HealthCheckResponse(status=77)",
        "Watch tells only status 77",
    ),
    Mutant(
        "health-states",
        "            return health_pb2.HealthCheckResponse.ServingStatus.Value(\n",
        "            return 77 if running else health_pb2.HealthCheckResponse.ServingStatus.Value(\n",
        "status 77",
    ),
    Mutant(
        "health-list",
        'for name in ("", "live", INTERFACE.full_name):\n            # A map',
        'for name in ("", INTERFACE.full_name):\n            # A map',
        "['live']",
    ),
)
