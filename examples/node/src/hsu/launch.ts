import { closeSync, fstatSync, writeSync } from "node:fs";

import { type Address, addressText, parseAddress } from "./address.js";
import { type Lifeline, watchLifeline } from "./lifeline.js";

/** The version of docs/launch-contract.md that this module speaks. */
export const CONTRACT_VERSION = 1;

/** What a master says in the environment of a worker. */
export interface Launch {
  readonly instance: string;
  readonly unit: string;
  readonly listen: Address;
  /** Where the announce line goes. */
  readonly announce: number;
  readonly token: string;
  /** Undefined when descriptor 0 means nothing. */
  readonly lifeline: Lifeline | undefined;
  readonly master: { readonly address: string; readonly token: string } | undefined;
}

/**
 * Reads the variables of a launch and deletes them, so that no child of this process inherits them.
 * Undefined when no master has launched this process; the variables then stay.
 *
 * @throws Error with all that is wrong with them.
 */
export function takeLaunch(environment: NodeJS.ProcessEnv): Launch | undefined {
  if (environment.HSU_INSTANCE === undefined) {
    return undefined;
  }
  const take = (name: string): string => {
    const value = environment[name] ?? "";
    delete environment[name];
    return value;
  };
  const instance = take("HSU_INSTANCE");
  const unit = take("HSU_UNIT");
  const listen = take("HSU_LISTEN");
  const announce = take("HSU_ANNOUNCE_FD");
  const token = take("HSU_TOKEN");
  const lifeline = take("HSU_LIFELINE");
  const master = take("HSU_MASTER");
  const masterToken = take("HSU_MASTER_TOKEN");

  const problems: string[] = [];
  const checked = <T>(name: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
      return undefined;
    }
  };
  if (!/^[0-9a-f]{32}$/.test(instance)) {
    problems.push(`HSU_INSTANCE=${JSON.stringify(instance)}: not 32 hex digits in lower case`);
  }
  if (listen === "") {
    problems.push("HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0");
  }
  const at = listen === "" ? undefined : checked("HSU_LISTEN", () => parseAddress(listen));
  if (token === "") {
    // Without one the worker would answer everybody.
    problems.push("HSU_TOKEN is not set: write what callers have to present");
  }
  // Never with their values: the texts of errors end in logs.
  for (const [name, value] of Object.entries({ HSU_TOKEN: token, HSU_MASTER_TOKEN: masterToken })) {
    if (value !== "" && !isToken(value)) {
      problems.push(`${name}: holds something else than printable ASCII without spaces`);
    }
  }
  const descriptor =
    announce === "" ? 1 : checked("HSU_ANNOUNCE_FD", () => announceDescriptor(announce));
  if (!["", "stdin", "none"].includes(lifeline)) {
    problems.push(`HSU_LIFELINE=${JSON.stringify(lifeline)}: neither "stdin" nor "none"`);
  }
  if (master !== "") {
    checked("HSU_MASTER", () => parseAddress(master));
  }
  if (problems.length > 0 || at === undefined || descriptor === undefined) {
    throw new Error(problems.join("\n"));
  }
  return {
    instance,
    unit,
    listen: at,
    announce: descriptor,
    token,
    lifeline: lifeline === "none" ? undefined : watchLifeline(),
    master: master === "" ? undefined : { address: master, token: masterToken },
  };
}

function announceDescriptor(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new Error(`${JSON.stringify(text)} is not a descriptor's number`);
  }
  try {
    // Node has made it close-on-exec, as all descriptors that it was given.
    fstatSync(Number(text));
  } catch {
    throw new Error(`${text}: no such descriptor is open`);
  }
  return Number(text);
}

/** Says that the worker answers, and where. */
export function announceAt(launch: Launch, address: Address): void {
  const line = `HSU ${String(CONTRACT_VERSION)} ${launch.instance} ${addressText(address)}\n`;
  writeSync(launch.announce, line);
  if (launch.announce !== 1) {
    closeSync(launch.announce);
  }
}

/** Whether a text can be presented as a token. */
export function isToken(text: string): boolean {
  return /^[!-~]+$/.test(text);
}
