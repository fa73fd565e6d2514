"""A stand-in for a host of go-plugin: it launches `hsu-worker serve` as that library does."""

import asyncio
import base64
import json
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsu_worker.gen.hsu_core import CoreClient
from hsu_worker.gen.plugin.grpc_controller import Empty, GRPCControllerClient
from hsu_worker.gen.plugin.grpc_stdio import GRPCStdioClient
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import KindsClient
from tests.worker.process import environment

#: Longest wait for something that takes a second.
PATIENCE = 20.0


@dataclass(frozen=True)
class Certificate:
    """One as go-plugin makes them: a key on P-521, and its own authority."""

    pem: str
    file: Path
    """The key and the certificate."""

    @classmethod
    def make(cls, file: Path) -> "Certificate":
        key = ec.generate_private_key(ec.SECP521R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "localhost"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "HashiCorp"),
            ]
        )
        usage = dict.fromkeys(("content_commitment", "data_encipherment", "crl_sign"), False)
        usage |= dict.fromkeys(("encipher_only", "decipher_only"), False)
        usage |= dict.fromkeys(("digital_signature", "key_encipherment"), True)
        usage |= dict.fromkeys(("key_agreement", "key_cert_sign"), True)
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=30))
            .not_valid_after(now + timedelta(days=10_957))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
                ),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        pem = made.public_bytes(serialization.Encoding.PEM)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + pem
        )
        return cls(pem.decode(), file)


def client_context(announced: str, own: Certificate | None) -> ssl.SSLContext:
    """What a host connects with: it trusts the announced certificate alone."""
    der = base64.b64decode(announced + "=" * (-len(announced) % 4), validate=True)
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(own.file)
    return context


@dataclass
class Plugin:
    """A plugin that has told where it is, as its host sees it."""

    process: Process
    line: str
    connection: Connection
    errors: bytes = b""
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return self.line.split("|")[3]

    @property
    def kinds(self) -> KindsClient:
        return KindsClient(self.connection)

    @property
    def core(self) -> CoreClient:
        return CoreClient(self.connection)

    @property
    def stdio(self) -> GRPCStdioClient:
        return GRPCStdioClient(self.connection)

    async def shutdown(self) -> int:
        """End it as a host does; returns the exit code."""
        await GRPCControllerClient(self.connection).shutdown(Empty())
        await self.connection.close()
        return await self.exit_code()

    async def exit_code(self) -> int:
        """Wait for its end, and read its stderr: log records, and what else is there."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            text = await self.process.stderr.read()
            code = await self.process.wait()
        for line in text.splitlines():
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.errors += line + b"\n"
        return code


async def begin(folder: Path, *arguments: str, **variables: str) -> Process:
    """Launch `hsu-worker serve` with what a host puts into the environment."""
    given = {"EXAMPLE_COOKIE": "value", "PLUGIN_PROTOCOL_VERSIONS": "1,12,5"} | variables
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", "serve"),
        *arguments,
        cwd=folder,
        env=environment(PLUGIN_MIN_PORT="10000", PLUGIN_MAX_PORT="25000", **given),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def refused(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Launch what can't begin; returns its exit code and its stderr."""
    process = await begin(folder, *arguments, **variables)
    async with asyncio.timeout(PATIENCE):
        out, errors = await process.communicate()
    assert process.returncode is not None
    assert b"" == out
    return process.returncode, errors.decode()


@asynccontextmanager
async def hosted(
    folder: Path, *arguments: str, certificate: Certificate | None = None, **variables: str
) -> AsyncGenerator[Plugin, None]:
    """Launch a plugin and connect to it; the process is gone after the block."""
    if certificate is not None:
        variables |= {"PLUGIN_CLIENT_CERT": certificate.pem}
    process = await begin(folder, *arguments, **variables)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, process)
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode().rstrip("\n")
        assert line.startswith("1|"), (await process.stderr.read()).decode()
        path = line.split("|")[3]
        if certificate is not None:
            context = client_context(line.split("|")[5], certificate)
            path = await stack.enter_async_context(encrypting(folder, path, context))
        connection = Connection.open(Address(path=path))
        stack.push_async_callback(connection.close)
        yield Plugin(process, line, connection)


@asynccontextmanager
async def encrypting(
    folder: Path, target: str, context: ssl.SSLContext
) -> AsyncGenerator[str, None]:
    """A socket without TLS that leads to one with it: grpc's own TLS can't use the host's key."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outer_reader, outer_writer = await asyncio.open_unix_connection(
            target, ssl=context, server_hostname="localhost"
        )
        tasks.add(asyncio.create_task(_copy(reader, outer_writer)))
        tasks.add(asyncio.create_task(_copy(outer_reader, writer)))

    path = str(folder / "host.sock")
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield path
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()
