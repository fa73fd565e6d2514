"""Workers that start when they are called.

    from hsu_worker import InvalidArgument, implements, lifespan

This module holds the authoring side; the master is `hsu_worker.master`, the in-process test
harness `hsu_worker.testing`.
"""

from hsu_worker.app import App
from hsu_worker.authoring.call import Call, current_call, report_progress
from hsu_worker.authoring.calling import blocking_client_of, client_of
from hsu_worker.authoring.implements import implements
from hsu_worker.authoring.lifespan import lifespan
from hsu_worker.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    HsuError,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    RpcError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from hsu_worker.interface import Interface, Reply, ReplyStream, Requests
from hsu_worker.wire.limits import Limits

__all__ = [  # noqa: RUF022  grouped by use
    # write a worker
    "App",
    "implements",
    "lifespan",
    "Limits",
    "report_progress",
    # handle a call
    "Call",
    "current_call",
    "Interface",
    "Reply",
    "ReplyStream",
    "Requests",
    # call other services
    "client_of",
    "blocking_client_of",
    # errors
    "HsuError",
    "RpcError",
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
]
