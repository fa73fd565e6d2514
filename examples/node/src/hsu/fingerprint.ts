import { createHash } from "node:crypto";

import { type DescMessage, type DescService, ScalarType } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, type FieldDescriptorProto } from "@bufbuild/protobuf/wkt";

/** The fingerprint of an interface, as docs/launch-contract.md defines it. */
export function fingerprint(service: DescService): string {
  const lines = fingerprintLines(service);
  return createHash("sha256")
    .update(lines.map((line) => `${line}\n`).join(""))
    .digest("hex");
}

/** What the fingerprint is made of; sorted. */
export function fingerprintLines(service: DescService): string[] {
  const lines = new Set<string>();
  const seen = new Set<string>();
  for (const method of service.methods) {
    const { name, input, output } = method;
    const [request, response] = [method.proto.clientStreaming, method.proto.serverStreaming];
    const kinds = `${request ? "s" : "u"}${response ? "s" : "u"}`;
    lines.add(`M ${name} ${kinds} ${input.typeName} ${output.typeName}`);
    addFields(input, lines, seen);
    addFields(output, lines, seen);
  }
  return [...lines].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
}

function addFields(message: DescMessage, lines: Set<string>, seen: Set<string>): void {
  if (seen.has(message.typeName)) {
    return;
  }
  seen.add(message.typeName);
  const add = (owner: string, number: number, label: string, type: string, name = "-") => {
    lines.add(`F ${owner} ${String(number)} ${label} ${type} ${name}`);
  };
  for (const field of message.fields) {
    const type = keyword(field.proto);
    const isRepeated = field.fieldKind === "list" || field.fieldKind === "map";
    const named = field.proto.typeName.replace(/^\./, "") || "-";
    add(message.typeName, field.number, isRepeated ? "repeated" : "singular", type, named);
    if (field.fieldKind === "map") {
      // It stands for a message that descriptors leave out.
      add(named, 1, "singular", scalar(field.mapKey));
      if (field.mapKind === "scalar") {
        add(named, 2, "singular", scalar(field.scalar));
      } else if (field.mapKind === "enum") {
        add(named, 2, "singular", "enum", field.enum.typeName);
      } else {
        add(named, 2, "singular", "message", field.message.typeName);
      }
    }
    if (field.message !== undefined) {
      addFields(field.message, lines, seen);
    }
  }
}

function keyword(field: FieldDescriptorProto): string {
  return FieldDescriptorProto_Type[field.type].toLowerCase();
}

function scalar(type: ScalarType): string {
  return ScalarType[type].toLowerCase();
}
