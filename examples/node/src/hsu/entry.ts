import { createHash, timingSafeEqual } from "node:crypto";
import type { EventEmitter } from "node:events";

import {
  type Metadata,
  type Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";

import { Refusal, RpcError, statusOf } from "./errors.js";
import type { Limits } from "./worker.js";

const HEALTH = "/grpc.health.v1.Health/";

/**
 * Asks each call for the token before anything of its body is read. Those of health need none.
 *
 * @param token Empty: nothing is asked for.
 */
export function entry(token: string, limits: Limits): ServerInterceptor {
  const expected = digest(`Bearer ${token}`);
  const check = (metadata: Metadata) => {
    const given = metadata.get("authorization");
    if (
      token !== "" &&
      (given.length !== 1 || !timingSafeEqual(digest(given[0]!.toString()), expected))
    ) {
      throw new Refusal(
        status.UNAUTHENTICATED,
        "the token is missing or wrong: send `authorization: Bearer <token>`",
      );
    }
    checkSize(metadata, limits.metadataBytes);
  };
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            try {
              if (!method.path.startsWith(HEALTH)) {
                check(metadata);
              }
            } catch (error) {
              call.sendStatus(statusOf(error as RpcError, "no"));
              return;
            }
            pass(metadata);
          },
        });
      },
    });
}

/**
 * Has calls with two tokens refused. Node keeps the first of two entries `authorization` and says
 * nothing of the other, so that has to be seen where the headers are still as they came: grpc-js
 * doesn't show its HTTP/2 servers, so look for them here when its version changes.
 */
export function refuseTwoTokens(server: Server): void {
  const { http2Servers } = server as unknown as { http2Servers: Map<EventEmitter, unknown> };
  for (const each of http2Servers.keys()) {
    each.prependListener("stream", (_stream, headers: Headers, _flags, raw: readonly string[]) => {
      // Names stand at even places.
      const names = raw.filter((_, at) => at % 2 === 0);
      if (names.filter((name) => name.toLowerCase() === "authorization").length > 1) {
        headers.authorization = "more than one";
      }
    });
  }
}

type Headers = Record<string, string>;

function checkSize(metadata: Metadata, possible: number): void {
  let bytes = 0;
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) {
      bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 32;
    }
  }
  if (bytes > possible) {
    throw new Refusal(
      status.RESOURCE_EXHAUSTED,
      `the metadata has ${String(bytes)} bytes, ${String(possible)} are possible`,
    );
  }
}

/** Of equal length, as a comparison in constant time wants it. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
