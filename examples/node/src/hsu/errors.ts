import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";

/** The domain of every google.rpc.ErrorInfo of the contract. */
const DOMAIN = "hsu";
const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";

/** The trailer that says whether a handler may have seen the call. */
export const DISPATCHED = "hsu-dispatched";
const DETAILS = "grpc-status-details-bin";

/** In bytes: clients drop calls whose trailers are over 8 KiB. */
const MAX_MESSAGE = 2 << 10;
const MAX_DETAILS = 4 << 10;

/**
 * A failure with a gRPC status. What a handler throws, its caller gets.
 *
 *     throw new RpcError(status.INVALID_ARGUMENT, "text is empty");
 */
export class RpcError extends Error {
  override readonly name: string = "RpcError";

  /**
   * @param code One of grpc-js's `status`.
   * @param details Messages for programs, such as a google.rpc.BadRequest.
   */
  constructor(
    readonly code: status,
    message: string,
    readonly details: readonly Any[] = [],
  ) {
    super(message);
  }
}

/** An error that ends a call before any of the program's own code has seen it. */
export class Refusal extends RpcError {
  override readonly name = "Refusal";
}

/** The google.rpc.ErrorInfo with a reason of the contract. */
export function errorInfo(reason: string): Any {
  const value = new BinaryWriter();
  value.tag(1, WireType.LengthDelimited).string(reason);
  value.tag(2, WireType.LengthDelimited).string(DOMAIN);
  return create(AnySchema, { typeUrl: ERROR_INFO, value: value.finish() });
}

/** The reason in the details of an error; empty when none of the contract is there. */
export function reasonIn(details: readonly Any[]): string {
  for (const detail of details) {
    if (detail.typeUrl === ERROR_INFO) {
      const fields = textFields(detail.value);
      if (fields.get(2) === DOMAIN) {
        return fields.get(1) ?? "";
      }
    }
  }
  return "";
}

/** The trailers and the status with which an error ends a call. */
export function statusOf(error: RpcError, dispatched: "yes" | "no"): StatusObject {
  const metadata = new Metadata();
  metadata.set(DISPATCHED, dispatched);
  const message = sendable(error.message);
  let details = error.details;
  while (details.length > 0) {
    const encoded = encodeDetails(error.code, message, details);
    if (encoded.length <= MAX_DETAILS) {
      metadata.set(DETAILS, encoded);
      break;
    }
    details = details.slice(0, -1);
  }
  return { code: error.code, details: message, metadata };
}

/** The details that came with a failed call; none when they can't be read. */
export function detailsIn(trailers: Metadata): Any[] {
  const [encoded] = trailers.get(DETAILS);
  if (!(encoded instanceof Buffer)) {
    return [];
  }
  try {
    return decodeDetails(encoded);
  } catch {
    return [];
  }
}

// A google.rpc.Status, whose .proto nothing here has: code = 1, message = 2, details = 3.

function encodeDetails(code: number, message: string, details: readonly Any[]): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(code);
  writer.tag(2, WireType.LengthDelimited).string(message);
  for (const detail of details) {
    writer.tag(3, WireType.LengthDelimited).bytes(toBinary(AnySchema, detail));
  }
  return Buffer.from(writer.finish());
}

function decodeDetails(encoded: Uint8Array): Any[] {
  const reader = new BinaryReader(encoded);
  const details: Any[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === 3) {
      details.push(fromBinary(AnySchema, reader.bytes()));
    } else {
      reader.skip(type, number);
    }
  }
  return details;
}

function textFields(encoded: Uint8Array): Map<number, string> {
  const reader = new BinaryReader(encoded);
  const fields = new Map<number, string>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited && number < 3) {
      fields.set(number, reader.string());
    } else {
      reader.skip(type, number);
    }
  }
  return fields;
}

/**
 * As much of a message as the trailers take; what is not printable ASCII takes three bytes there for
 * each of its own.
 */
export function sendable(message: string): string {
  let room = MAX_MESSAGE;
  let kept = "";
  for (const char of message.toWellFormed()) {
    room -= /[ -$&-~]/.test(char) ? 1 : 3 * Buffer.byteLength(char);
    if (room < 0) {
      return `${kept}...`;
    }
    kept += char;
  }
  return kept;
}
