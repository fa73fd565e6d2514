import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { parseAddress } from "./address.js";
import { isToken } from "./launch.js";
import { launch } from "./own.js";

/** Where a master listens, and what lets a caller in. */
export interface Gateway {
  /** `unix:<absolute path>` or `tcp:<host>:<port>`. */
  readonly address: string;
  /** Presented with each call; empty presents none. */
  readonly token: string;
}

/**
 * Finds the master to call.
 *
 * @param where Its address, or the folder that holds its socket. If not given, it is in a worker the
 *     master that launched it, else what HSU_MASTER says.
 * @param tokenFile Holds the token. If not given, that is HSU_MASTER_TOKEN, or in the file that
 *     HSU_MASTER_TOKEN_FILE names, or in the file `token` beside the socket. A folder's own token
 *     comes before the variables.
 * @throws Error when no master is named, or its token can't be read.
 */
export function findGateway(where = "", tokenFile = ""): Gateway {
  const own = launch()?.master;
  if (where === "" && own !== undefined) {
    return own;
  }
  where ||= process.env.HSU_MASTER ?? "";
  if (where === "") {
    throw new Error(
      "no master is named: HSU_MASTER is not set; it is the address or the folder that " +
        "`hsu-worker master run` prints",
    );
  }
  const isFolder = !/^(unix|tcp):/.test(where);
  const address = isFolder ? `unix:${join(resolve(where), "master.sock")}` : where;
  const at = parseAddress(address);
  if (tokenFile === "" && !isFolder) {
    const token = process.env.HSU_MASTER_TOKEN ?? "";
    if (token !== "") {
      return { address, token: checked(token, "HSU_MASTER_TOKEN") };
    }
    tokenFile = process.env.HSU_MASTER_TOKEN_FILE ?? "";
  }
  if (tokenFile === "" && at.kind === "unix") {
    const beside = join(dirname(at.path), "token");
    if (isFolder || statSync(beside, { throwIfNoEntry: false }) !== undefined) {
      tokenFile = beside;
    }
  }
  if (tokenFile === "") {
    return { address, token: "" };
  }
  return { address, token: checked(readSecret(tokenFile).trim(), tokenFile) };
}

function checked(token: string, source: string): string {
  if (!isToken(token)) {
    throw new Error(`${source} holds no token: printable ASCII without spaces is needed`);
  }
  return token;
}

/** Reads a file that only its owner can open. */
function readSecret(path: string): string {
  let found;
  try {
    found = statSync(path);
  } catch {
    throw new Error(`${path}: no such file; it should hold the master's token`);
  }
  if ((found.mode & 0o077) !== 0) {
    throw new Error(`${path}: other users can open it; run: chmod 600 ${path}`);
  }
  return readFileSync(path, "utf8");
}
