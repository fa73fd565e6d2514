"""What the things made for a service are called."""


def handlers(service: str) -> str:
    """The protocol of the methods that a worker has to have."""
    return f"{service}Handlers"


def client(service: str) -> str:
    """The client for programs with an event loop."""
    return f"{service}Client"


def blocking_client(service: str) -> str:
    """The client for programs without one."""
    return f"Blocking{service}Client"


def public_names(service: str) -> dict[str, str]:
    """All names that a service adds to its module, and what each one is."""
    return {
        service: f"service {service}",
        handlers(service): f"the handlers of service {service}",
        client(service): f"the client of service {service}",
        blocking_client(service): f"the blocking client of service {service}",
    }
