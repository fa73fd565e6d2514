// What docs/launch-contract.md gives as examples.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createFileRegistry, fromJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";

import { InterfaceA } from "../gen/hsu_a_pb.js";
import { addressText, parseAddress } from "./address.js";
import { detailsIn, errorInfo, reasonIn, RpcError, sendable, statusOf } from "./errors.js";
import { fingerprint, fingerprintLines } from "./fingerprint.js";
import { takeLaunch } from "./launch.js";

const TINY = {
  name: "tiny.proto",
  package: "tiny.v1",
  syntax: "proto3",
  messageType: [
    {
      name: "Text",
      field: [
        { name: "text", number: 1, label: "LABEL_OPTIONAL", type: "TYPE_STRING" },
        {
          name: "mood",
          number: 2,
          label: "LABEL_OPTIONAL",
          type: "TYPE_ENUM",
          typeName: ".tiny.v1.Mood",
          oneofIndex: 0,
          proto3Optional: true,
        },
        {
          name: "replies",
          number: 3,
          label: "LABEL_REPEATED",
          type: "TYPE_MESSAGE",
          typeName: ".tiny.v1.Text",
        },
        {
          name: "marks",
          number: 4,
          label: "LABEL_REPEATED",
          type: "TYPE_MESSAGE",
          typeName: ".tiny.v1.Text.MarksEntry",
        },
      ],
      oneofDecl: [{ name: "_mood" }],
      nestedType: [
        {
          name: "MarksEntry",
          options: { mapEntry: true },
          field: [
            { name: "key", number: 1, label: "LABEL_OPTIONAL", type: "TYPE_STRING" },
            { name: "value", number: 2, label: "LABEL_OPTIONAL", type: "TYPE_BYTES" },
          ],
        },
      ],
    },
    {
      name: "Total",
      field: [{ name: "texts", number: 1, label: "LABEL_OPTIONAL", type: "TYPE_SINT64" }],
    },
  ],
  enumType: [
    {
      name: "Mood",
      value: [
        { name: "MOOD_UNSPECIFIED", number: 0 },
        { name: "MOOD_GLAD", number: 1 },
      ],
    },
  ],
  service: [
    {
      name: "Echo",
      method: [
        {
          name: "Say",
          inputType: ".tiny.v1.Text",
          outputType: ".tiny.v1.Text",
          serverStreaming: true,
        },
        {
          name: "Count",
          inputType: ".tiny.v1.Text",
          outputType: ".tiny.v1.Total",
          clientStreaming: true,
        },
      ],
    },
  ],
};

test("the fingerprint of interface A is that of the contract", () => {
  const expected = "f99ee974130f86e15ca2d66928fcd51cf04740738c229b0644f081a230aac757";
  assert.equal(fingerprint(InterfaceA), expected);
});

test("the fingerprint of an interface with maps, enums and optional fields is, too", () => {
  const files = createFileRegistry(fromJson(FileDescriptorSetSchema, { file: [TINY] }));
  const echo = files.getService("tiny.v1.Echo")!;
  assert.deepEqual(fingerprintLines(echo), [
    "F tiny.v1.Text 1 singular string -",
    "F tiny.v1.Text 2 singular enum tiny.v1.Mood",
    "F tiny.v1.Text 3 repeated message tiny.v1.Text",
    "F tiny.v1.Text 4 repeated message tiny.v1.Text.MarksEntry",
    "F tiny.v1.Text.MarksEntry 1 singular string -",
    "F tiny.v1.Text.MarksEntry 2 singular bytes -",
    "F tiny.v1.Total 1 singular sint64 -",
    "M Count su tiny.v1.Text tiny.v1.Total",
    "M Say us tiny.v1.Text tiny.v1.Text",
  ]);
  const expected = "71cbd6c5f5c335e2350069284840a66e8dc9ddc5e9b08ca0fd270b971bdde39b";
  assert.equal(fingerprint(echo), expected);
});

test("details are on the wire as the contract shows them", () => {
  const error = new RpcError(status.UNAVAILABLE, "STOPPED", [errorInfo("NOT_RUNNING")]);
  const { code, metadata } = statusOf(error, "no");
  const [details] = metadata.get("grpc-status-details-bin");
  assert.equal(
    (details as Buffer).toString("base64"),
    "CA4SB1NUT1BQRUQaPgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mbxIS" +
      "CgtOT1RfUlVOTklORxIDaHN1",
  );
  assert.equal(code, 14);
  assert.deepEqual(metadata.get("hsu-dispatched"), ["no"]);
  assert.equal(reasonIn(detailsIn(metadata)), "NOT_RUNNING");
});

test("what doesn't fit into trailers is cut", () => {
  assert.equal(sendable("x".repeat(2048)), "x".repeat(2048));
  assert.equal(sendable("x".repeat(2049)), `${"x".repeat(2048)}...`);
  assert.equal(sendable("ü".repeat(400)), `${"ü".repeat(341)}...`);
  const large = Array.from({ length: 3 }, () => errorInfo("x".repeat(2000)));
  const { metadata } = statusOf(new RpcError(status.INTERNAL, "", large), "yes");
  assert.equal(detailsIn(metadata).length, 1);
});

test("addresses are read and written as they are", () => {
  for (const text of ["unix:/run/a b.sock", "tcp:127.0.0.1:0", "tcp:[::1]:40312", "tcp:host:1"]) {
    assert.equal(addressText(parseAddress(text)), text);
  }
  for (const [text, problem] of [
    ["unix:a.sock", /the path is not absolute; write unix:/],
    [`unix:/${"x".repeat(100)}`, /the path has 101 bytes, 100 are possible/],
    ["unix:/run/ü.sock", /something else than printable ASCII/],
    ["unix:/run/a%20b.sock", /one of % \? # ,/],
    ["tcp:127.0.0.1", /no host with a port/],
    ["tcp:::1:80", /no host with a port/],
    ["tcp:127.0.0.1:65536", /65536 is not a port/],
    ["/run/a.sock", /neither a Unix path nor TCP/],
  ] as const) {
    assert.throws(() => parseAddress(text), problem);
  }
});

test("a launch is taken out of the environment, and nothing else is", () => {
  const environment: NodeJS.ProcessEnv = {
    HSU_INSTANCE: "6f1ed002ab5595859014ebf0951522d9",
    HSU_UNIT: "a",
    HSU_LISTEN: "unix:/run/a b.sock",
    HSU_TOKEN: "secret",
    HSU_LIFELINE: "none",
    HSU_MASTER: "tcp:127.0.0.1:7000",
    HSU_MASTER_TOKEN: "other",
    HSU_KEEPER_ID: "kept",
    PATH: "/bin",
  };
  assert.deepEqual(takeLaunch(environment), {
    instance: "6f1ed002ab5595859014ebf0951522d9",
    unit: "a",
    listen: { kind: "unix", path: "/run/a b.sock" },
    announce: 1,
    token: "secret",
    lifeline: undefined,
    master: { address: "tcp:127.0.0.1:7000", token: "other" },
  });
  assert.deepEqual(environment, { HSU_KEEPER_ID: "kept", PATH: "/bin" });
});

test("without an instance nothing is taken", () => {
  const environment = { HSU_TOKEN: "secret" };
  assert.equal(takeLaunch(environment), undefined);
  assert.deepEqual(environment, { HSU_TOKEN: "secret" });
});

test("all that is wrong with a launch is told at once, without a token's value", () => {
  const environment = {
    HSU_INSTANCE: "x",
    HSU_LISTEN: "somewhere",
    HSU_TOKEN: "two words",
    HSU_ANNOUNCE_FD: "999",
    HSU_LIFELINE: "fd3",
  };
  assert.throws(() => takeLaunch(environment), {
    message: [
      'HSU_INSTANCE="x": not 32 hex digits in lower case',
      'HSU_LISTEN: address "somewhere": neither a Unix path nor TCP; write unix:<absolute path> or ' +
        "tcp:<host>:<port>, such as tcp:127.0.0.1:0",
      "HSU_TOKEN: holds something else than printable ASCII without spaces",
      "HSU_ANNOUNCE_FD: 999: no such descriptor is open",
      'HSU_LIFELINE="fd3": neither "stdin" nor "none"',
    ].join("\n"),
  });
  assert.deepEqual(environment, {});
});
