// SPDX-License-Identifier: Apache-2.0
import { type Resource, secret as secretOf } from "@pulumi/pulumi";
import { beforeEach, describe, expect, test } from "vitest";
import { socketBypassSchema } from "../../../src/args/socket-bypass.js";
import { checkNow } from "../../../src/args/validation/check.js";
import { ArgsError } from "../../../src/args/validation/problem.js";
import { nameOf, objects, places, put } from "../../src/args/places.js";
import { isAt, Project, placesTold } from "./project.js";

type Path = readonly string[];
/** A wrong value that contains the password, and the place that must be reported. */
interface Mistake {
  readonly place: Path;
  readonly value: unknown;
}

const password = "correct horse; $battery";
// The program turns these marks into secrets.
const secret = (value: unknown) => ({ "a secret": value });
const misspelt = { passwrd: password };
/** The places where any text is valid, and so not reported. */
const anyText = /\.(password|privateKeyPassword|machineId|annotations\.a|tolerations\.0\.(key|value))$/;
const anyTexts = /\.annotations$/;
/**
 * The places where a plain text is not shown either. It is shown elsewhere, to help correct a port
 * or a folder.
 */
const hidden = places.filter((path) =>
  /\.(connection\..*|become|image|imagePullSecrets\.0|priorityClassName)$/.test(nameOf(path)),
);
const mistakes: Mistake[] = [
  ...objects.flatMap((path) => {
    const place = [...path, "passwrd"];
    const values = anyTexts.test(nameOf(path)) ? [] : [password, secret(password)];
    return [...values.map((value) => ({ place, value })), { place: path, value: `root:${password}@192.0.2.1` }];
  }),
  ...hidden.filter((path) => !anyText.test(nameOf(path))).map((place) => ({ place, value: `\n${password}` })),
  ...places.flatMap((place) => {
    const [text, texts] = [anyText.test(nameOf(place)), anyTexts.test(nameOf(place))];
    const objectsThere = [{ passwrd: secret(password) }, secret(misspelt)];
    return [...(text ? [] : [secret(password)]), ...(texts ? [] : objectsThere)].map((value) => ({ place, value }));
  }),
];

/**
 * Arguments that are wrong in one more place, so that nothing is installed here even if a mistake
 * is not found.
 */
const neverRight = put(["cgroup"], "nowhere");

/**
 * The paths that are reported for these arguments at once; others are reported once a secret is
 * known.
 */
function toldNow(args: unknown): string[] {
  const marked = JSON.stringify(args);
  const revived: unknown = JSON.parse(marked, (_, value) =>
    "a secret" in Object(value) ? secretOf(value["a secret"]) : value,
  );
  try {
    checkNow(socketBypassSchema, revived, { resource: {} as Resource, what: "it", path: [] });
    return [];
  } catch (error) {
    return error instanceof ArgsError ? error.problems.map(({ path }) => path) : [];
  }
}

const told = mistakes.filter(({ place, value }) => toldNow(put(place, value, neverRight)).some(isAt(place)));

let project: Project;
beforeEach(() => {
  project = new Project();
  return () => project.remove();
});

// These do not cover what is found only once a secret is known, such as a port that is a secret
// text; late-secrets.test.ts does.
describe.each([
  ["in a Node program", "node"],
  ["through the engine, as in other languages", "plugin"],
])("a password in a wrong place, %s,", (_, way) => {
  test("is not in the engine's output, its event log or the state, and the place is reported", () => {
    expect(told.length).toBeGreaterThan(places.length);
    let untold = told;
    let before = told.length + 1;
    // The first failure ends the program, at times before the engine has asked the plugin about the
    // last ones.
    while (untold.length > 0 && untold.length < before) {
      before = untold.length;
      untold = tell(way, untold);
    }
    expect(untold).toEqual([]);
  }, 500_000);
});

/** Lets one program make all of these mistakes, and returns those whose place was not reported. */
function tell(way: string, wrong: readonly Mistake[]): Mistake[] {
  const all = wrong.map(({ place, value }, at) => [`c${at}`, put(place, value, neverRight)] as const);
  const options = ["--yes", "--skip-preview", "--continue-on-error"];
  const { said, events } = project.run(way, Object.fromEntries(all), "up", ...options);
  const kept = project.kept();
  const seen = [said, events, kept].join("\n").split("\n");
  expect(seen.filter((line) => line.includes("battery")).map((line) => line.slice(0, 2000))).toEqual([]);
  expect(kept).toContain("secrets-one");
  const places = placesTold(said);
  return wrong.filter(({ place }, at) => !places.get(`c${at}`)?.some(isAt(place)));
}
