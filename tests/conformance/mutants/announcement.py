"""Workers that break what checks/announcement.py asks for."""

from tests.conformance.mutants.mutant import Mutant

MUTANTS = (
    Mutant("announce-descriptor", "announce.write(line)", "announce.write(line * 2)", r"\nHSU 1 "),
    Mutant("announce-descriptor", 'f"HSU 1 {', 'f"HSU 2 {', "speaks version 2"),
    Mutant("announce-descriptor", "{address}\\n", "{address} \\n", "was asked for"),
    Mutant(
        "announce-descriptor",
        'with os.fdopen(int(HSU["ANNOUNCE_FD"] or os.dup(1)), "wb", 0) as announce:',
        'with os.fdopen(os.dup(int(HSU["ANNOUNCE_FD"] or 1)), "wb", 0) as announce:',
        "still holds it open",
    ),
    Mutant(
        "announce-descriptor",
        'int(HSU["ANNOUNCE_FD"] or os.dup(1))',
        "os.dup(1)",
        "it came on stdout",
    ),
    Mutant(
        "announce-stdout",
        "announce.write(line)",
        'announce.write(line if HSU["ANNOUNCE_FD"] else b"at " + line)',
        "did not announce itself",
        beside=("health-free",),
    ),
    Mutant(
        "announce-answers",
        'port = server.add_insecure_port(address.removeprefix("tcp:"))',
        "port = 0\n        loop.call_later(30, server.add_insecure_port, address)",
        "",
    ),
    Mutant("announce-tcp", ":{port}", ":0", "tcp:127.0.0.1:0"),
    Mutant(
        "announce-long-path",
        'address.removeprefix("tcp:")',
        'address.removeprefix("tcp:").split(" ")[0]',
        "No such file or directory",
    ),
    Mutant("port-not-shared", '("grpc.so_reuseport", 0)', '("grpc.so_reuseport", 1)', "bound"),
    Mutant("keepalive", '_without_data_ms", 100', '_without_data_ms", 10000', "too_many_pings"),
    Mutant("port-taken", '("grpc.so_reuseport", 0)', '("grpc.so_reuseport", 1)', "HSU 1 "),
)
