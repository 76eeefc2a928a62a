// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { engineMark } from "../../src/targets/mocked";
import { answerOf } from "./far";

/** One registration as the engine gets it. Mocks alone show neither parent nor options. */
export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** URN of the parent; empty for the root. */
  readonly parent: string;
  /** Names, without types. */
  readonly dependencies: readonly string[];
  readonly deleteBeforeReplace: boolean;
  readonly hideDiffs: readonly string[];
  readonly ignoreChanges: readonly string[];
  readonly protect: boolean | undefined;
  readonly retainOnDelete: boolean | undefined;
  readonly deletedWith: string;
  readonly timeouts: { readonly create: string; readonly update: string; readonly delete: string } | undefined;
  readonly hooks: unknown;
  /** Name of an explicit provider; empty for the default one. */
  readonly provider: string;
}

/** What we read of a registration request. The SDK's public types leave it out. */
interface Request {
  getType(): string;
  getName(): string;
  getParent(): string;
  getObject(): { toJavaScript(): Record<string, unknown> } | undefined;
  getDependenciesList(): string[];
  getDeletebeforereplace(): boolean;
  getHidediffsList(): string[];
  getIgnorechangesList(): string[];
  getProtect(): boolean | undefined;
  getRetainondelete(): boolean | undefined;
  getDeletedwith(): string;
  getCustomtimeouts(): { getCreate(): string; getUpdate(): string; getDelete(): string } | undefined;
  getHooks(): unknown;
  getProvider(): string;
}

interface Monitor {
  registerResource(request: Request, done: (error: unknown, answer: { getUrn(): string } | undefined) => void): void;
}

const secretMark = "4dabf18193072939515e22adb298388d";

/**
 * Runs a program under mocks and returns what it registers, in order. The stdout of a command is
 * `NAME said`, or what `answer` returns, and its id is `NAME id`; that of a self-test is a result.
 * `look` answers the commands that look for drift, and `state` holds the resources that the stack
 * has already.
 */
export async function record(
  program: () => unknown,
  isPreview = false,
  look: (command: string) => string = () => "",
  answer: (name: string) => string = (name) => (name.endsWith("selftest") ? answerOf(name) : `${name} said`),
  state: object = {},
): Promise<Registered[]> {
  await pulumi.runtime.setMocks(
    {
      call: ({ token, inputs }) =>
        token === "pulumi:pulumi:readStackResourceOutputs" ? { outputs: state } : { stdout: look(`${inputs.command}`) },
      newResource: ({ name, inputs, type }) => ({
        id: type.includes(":index:") && !type.startsWith("command:") ? "" : `${name} id`,
        state: { ...inputs, stdout: answer(name) },
      }),
    },
    "shop",
    "prod",
    isPreview,
    "acme",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
  Object.assign(monitor, { [engineMark]: true });
  const registerResource = monitor.registerResource.bind(monitor);
  const all: Registered[] = [];
  monitor.registerResource = (request, done) =>
    registerResource(request, (error, answer) => {
      const timeouts = request.getCustomtimeouts();
      all.push({
        type: request.getType(),
        name: request.getName(),
        urn: answer?.getUrn() ?? "",
        inputs: plain(request.getObject()?.toJavaScript() ?? {}) as Record<string, unknown>,
        parent: request.getParent(),
        dependencies: request.getDependenciesList().map((urn) => urn.split("::").at(-1) ?? ""),
        deleteBeforeReplace: request.getDeletebeforereplace(),
        hideDiffs: request.getHidediffsList(),
        ignoreChanges: request.getIgnorechangesList(),
        protect: request.getProtect(),
        retainOnDelete: request.getRetainondelete(),
        deletedWith: request.getDeletedwith(),
        timeouts: timeouts && {
          create: timeouts.getCreate(),
          update: timeouts.getUpdate(),
          delete: timeouts.getDelete(),
        },
        hooks: request.getHooks(),
        // The form is urn::id, and the URN contains :: too.
        provider: request.getProvider().split("::").at(-2) ?? "",
      });
      done(error, answer);
    });
  await program();
  await pulumi.runtime.disconnect();
  return all.sort((a, b) => order(a) - order(b));
}

/** Registrations come as their inputs become known; tests read them in the order of the chain. */
function order({ name, type }: Registered): number {
  return type.startsWith("command:") ? 1 + steps.findIndex((step) => name.endsWith(`-${step}`)) : 0;
}

export const steps = [
  "object",
  "map-sockets",
  "program-track",
  "program-redirect",
  "verdict",
  "selftest",
  "policy",
  "attachment",
] as const;

export function commandsOf(all: readonly Registered[], host?: string): Registered[] {
  return all.filter(
    ({ type, name }) =>
      type.startsWith("command:") && (host === undefined || steps.some((step) => name === `${host}-${step}`)),
  );
}

/** Unwraps secrets. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (secretMark in value) return plain((value as unknown as { value: unknown }).value);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}
