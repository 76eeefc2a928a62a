// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Resource, secret as secretOf } from "@pulumi/pulumi";
import { beforeEach, describe, expect, test } from "vitest";
import { socketBypassSchema } from "../../../src/args/socket-bypass.js";
import { checkNow } from "../../../src/args/validation/check.js";
import { ArgsError } from "../../../src/args/validation/problem.js";
import { everything, nameOf, places, put } from "../../src/args/places.js";
import { isAt, Project, placesTold } from "./project.js";

type Path = readonly string[];
type Mark = "a secret" | "a late secret";
// The program turns these marks into secrets; a late one is known once another resource has been
// created.
const marks: readonly string[] = ["a secret", "a late secret"] satisfies Mark[];

const login = { host: "127.0.0.1", port: 1, user: "ops", password: "x", dialErrorLimit: 0, perDialTimeout: 1 };
const { traffic, ...others } = everything;
/** Valid arguments that install nothing on any machine, because nobody listens at the address. */
const right = {
  ...others,
  traffic: { ports: traffic.ports, cidrs: traffic.cidrs },
  hosts: {
    web: {
      ...others.hosts.web,
      // An instance must be unique, and a program here has many of these.
      instance: undefined,
      ...{ become: "false", allowUnknownHostKey: true, connection: { ...login, proxy: login } },
    },
  },
  nodePools: { workers: { ...others.nodePools.workers, instance: undefined } },
};
/** The places where any text is valid. */
const anyText = /\.(password|privateKeyPassword|machineId|annotations\.a|tolerations\.0\.(key|value))$/;
const anyTexts = /\.annotations$/;

/** A different word for each place, so that a leak shows where it comes from. */
const wordOf = (place: Path) => `battery${places.findIndex((one) => nameOf(one) === nameOf(place))}x`;
const textOf = (place: Path) => `horse; $${wordOf(place)}`;

/** The arguments of one component, with a secret in each place of a group. */
interface Wrong {
  readonly group: readonly Path[];
  readonly args: unknown;
  /** The places that must be reported; in the others the value is valid. */
  readonly told: readonly Path[];
}

function wrongs(mark: Mark, isToldNow: boolean): Wrong[] {
  return [false, true].flatMap((isObject) => {
    const putIt = (place: Path, args: unknown) =>
      put(place, { [mark]: isObject ? { passwrd: textOf(place) } : textOf(place) }, args);
    const wanted = places.filter((place) => toldNow(putIt(place, right)).some(isAt(place)) === isToldNow);
    return groupsOf(wanted).map((group) => ({
      group,
      args: group.reduce<unknown>((args, place) => putIt(place, args), right),
      told: group.filter((place) => !(isObject ? anyTexts : anyText).test(nameOf(place))),
    }));
  });
}

/** The paths that are reported before the secrets in these arguments are known. */
function toldNow(args: unknown): readonly string[] {
  const revived: unknown = JSON.parse(JSON.stringify(args), (_, value) => {
    const [mark = ""] = Object.keys(Object(value));
    return marks.includes(mark) ? secretOf(value[mark]) : value;
  });
  try {
    checkNow(socketBypassSchema, revived, { resource: {} as Resource, what: "it", path: [] });
    return [];
  } catch (error) {
    return error instanceof ArgsError ? error.problems.map(({ path }) => path) : [];
  }
}

/** Divides the places into few groups, in which no place is inside another. */
function groupsOf(all: readonly Path[]): Path[][] {
  const isInside = (inner: Path, outer: Path) => outer.every((key, at) => inner[at] === key);
  const groups: Path[][] = [];
  for (const place of [...all].sort((a, b) => b.length - a.length)) {
    const group = groups.find((its) => !its.some((one) => isInside(one, place) || isInside(place, one)));
    if (group === undefined) groups.push([place]);
    else group.push(place);
  }
  return groups;
}

let project: Project;
beforeEach(() => {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-engine-"));
  fs.symlinkSync(join(__dirname, "kubernetes-stand-in.mjs"), join(folder, "pulumi-resource-kubernetes"));
  project = new Project({ kubernetes: folder });
  return () => {
    project.remove();
    fs.rmSync(folder, { recursive: true });
  };
});

const named = (all: readonly Wrong[]) => Object.fromEntries(all.map(({ args }, at) => [`c${at}`, args]));
/** The places in these arguments that were not reported. */
function untoldOf(all: readonly Wrong[], said: string): string[] {
  const told = placesTold(said);
  return all.flatMap((one, at) => one.told.filter((place) => !told.get(`c${at}`)?.some(isAt(place))).map(nameOf));
}

const leaksIn = (...texts: string[]) => [...new Set(texts.flatMap((text) => text.match(/battery\d+x/g) ?? []))];
/**
 * Removes the SDK's debug messages, which show each answer of the engine with the valid secrets in
 * it.
 */
const withoutDebug = (events: string) =>
  events
    .split("\n")
    .filter((line) => !line.includes('"severity":"debug"'))
    .join("\n");

// These do not prove that each place is reported through a plugin, because a plugin answers with
// the first failure only and is not asked again after it.
describe.each([
  ["in a Node program", "node"],
  ["through the engine, as in other languages", "plugin"],
])("secrets in wrong places, %s,", (_, way) => {
  const expectTold = (all: readonly Wrong[], said: string) => {
    const untold = untoldOf(all, said);
    if (way === "node") expect(untold).toEqual([]);
    else expect(untold.length).toBeLessThan(all.flatMap(({ told }) => told).length);
  };

  test("that fail a preview are reported by their paths and not shown", () => {
    const all = [...wrongs("a secret", false), ...wrongs("a late secret", true)];
    expect(all.flatMap(({ told }) => told).length).toBeGreaterThan(places.length);
    const { said, events } = project.run(way, named(all), "preview");
    expect(leaksIn(said, events, project.kept())).toEqual([]);
    expectTold(all, said);
  }, 300_000);

  test("that are known only after a preview pass it, fail the update, and are reported by their paths and not shown", () => {
    const all = wrongs("a late secret", false);
    expect(all.flatMap(({ told }) => told).length).toBeGreaterThan(places.length);
    const { said, events } = project.run(way, named(all), "up", "--yes", "--continue-on-error");
    const [preview = "", update = ""] = said.split(/^Updating /m);
    expect(preview).not.toContain("error:");
    expect(leaksIn(said, events, project.kept())).toEqual([]);
    expectTold(all, update);
    // No step of a host and no object of a pool begins if its arguments are invalid.
    expect(project.kept()).not.toMatch(/::c\d+-(web|workers)-/);
  }, 300_000);
});

test("valid secrets that are known late are secret in the state", () => {
  const where = [["nodePools", "workers", "annotations", "a"]];
  const { hosts: _, ...pools } = right;
  const args = where.reduce<unknown>((its, place) => put(place, { "a late secret": textOf(place) }, its), {
    ...pools,
    rollout: undefined,
  });
  const { ok, said, events } = project.run("node", { right: args }, "up", "--yes");
  expect({ ok, said: ok ? "" : said }).toEqual({ ok: true, said: "" });
  expect(leaksIn(said, withoutDebug(events), project.kept())).toEqual([]);
  const shown = project.engine("stack", "export", "--show-secrets", "--stack", "one", "--non-interactive").said;
  expect(leaksIn(shown)).toEqual(where.map(wordOf));
}, 300_000);
