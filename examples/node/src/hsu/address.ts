import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";

/** The longest Unix path of the contract, in bytes. */
const MAX_PATH = 100;

const CURE = "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0";

/** Where a server listens. */
export type Address =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/**
 * Reads `unix:/run/x.sock` or `tcp:127.0.0.1:7000`.
 *
 * @throws Error when it is neither; it says what is wrong, and the cure.
 */
export function parseAddress(text: string): Address {
  const wrong = (problem: string) => new Error(`address ${JSON.stringify(text)}: ${problem}`);
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (!path.startsWith("/")) {
      throw wrong(`the path is not absolute; ${CURE}`);
    }
    if (Buffer.byteLength(path) > MAX_PATH) {
      const bytes = Buffer.byteLength(path);
      throw wrong(`the path has ${bytes} bytes, ${MAX_PATH} are possible; choose a shorter folder`);
    }
    if (/[^ -~]|[%?#,]/.test(path)) {
      throw wrong(
        "the path holds something else than printable ASCII, or one of % ? # ,; " +
          "choose another folder",
      );
    }
    return { kind: "unix", path };
  }
  if (text.startsWith("tcp:")) {
    const found = /^tcp:(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text);
    if (found === null) {
      throw wrong(`no host with a port; ${CURE}`);
    }
    const port = Number(found[2]);
    if (port > 65535) {
      throw wrong(`${port} is not a port; ${CURE}`);
    }
    return { kind: "tcp", host: found[1]!, port };
  }
  throw wrong(`neither a Unix path nor TCP; ${CURE}`);
}

/** The address as the contract writes it. */
export function addressText(address: Address): string {
  return address.kind === "unix"
    ? `unix:${address.path}`
    : `tcp:${address.host}:${String(address.port)}`;
}

/** The address as grpc-js takes it. */
export function grpcTarget(address: Address): string {
  return address.kind === "unix"
    ? `unix:${address.path}`
    : `dns:${address.host}:${String(address.port)}`;
}

/** Whether only this machine can reach the address. */
export function isLocal(address: Address): boolean {
  return address.kind === "unix" || /^(localhost|127\.[\d.]+|\[::1\])$/.test(address.host);
}

/**
 * Removes a socket that nobody listens at.
 *
 * @throws Error when somebody does, or when something else is there.
 */
export async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    return;
  }
  if (!found.isSocket()) {
    throw new Error("a file that is no socket is there; remove it");
  }
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code);
    });
  });
  if (code === undefined) {
    throw new Error("in use by another server; choose another path");
  }
  if (code === "ECONNREFUSED") {
    unlinkSync(path);
  }
}
