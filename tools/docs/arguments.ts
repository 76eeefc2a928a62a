// SPDX-License-Identifier: Apache-2.0
// Makes the pages of arguments and outputs from the sources of src/.
import { type Declaration, type Declarations, type Property, propertiesOf } from "./declarations";
import { sentences } from "./markdown";
import { type Path, type Refusal, refusalOf } from "./refusals";

const made = "`npx tsx tools/docs/main.ts` makes this page from the sources.";
const components = ["SocketBypass", "BypassHost", "BypassNodePool"] as const;
type Component = (typeof components)[number];

/** An interface, where it stands, and which component to ask for its errors. */
interface Place {
  readonly name: string;
  readonly component: Component;
  readonly path: Path;
}

/** What a newcomer cannot know, each with the page that explains it. */
const words = [
  "These words have a meaning of their own:",
  "",
  "- A *component* is what `new SocketBypass` and its like make: a resource of Pulumi that has others below it.",
  "- Data *takes the bypass* when it goes from one socket of a host to the other without the TCP/IP stack.",
  "  A socket is *enrolled* while its data may do so ([datapath.md](../explanation/datapath.md)).",
  "- A *generation* is one version of what is installed on a host.",
  "  A host is *handed over* when a new one takes the place of the old one, and connections stay open",
  "  ([architecture.md](../explanation/architecture.md#the-states-of-a-host)).",
  "- A *drained* host has everything installed, but all data goes over TCP",
  "  ([datapath.md](../explanation/datapath.md#drain)).",
  "- An *owner* is the stack and the component that installed something on a host.",
  "- A *step* is one resource of a host, such as one that loads a program ([steps.md](../explanation/steps.md)).",
  "- *cgroup v2* groups the processes of a host in a tree of directories, usually at /sys/fs/cgroup.",
  "  *bpffs*, usually at /sys/fs/bpf, holds BPF programs and maps, such as the tables of sockets.",
  "- To *splice* is to move data between a socket and a pipe by the system call `splice`",
  "  ([splicing-programs.md](../how-to/splicing-programs.md)).",
  "",
];

export function argumentsPage(all: Declarations): string {
  const places = placesOf(all);
  return [
    "# Arguments",
    "",
    made,
    "",
    "A property without the word *required* may be left out.",
    "A property that is marked *Output* takes an Output or a Promise in place of a value.",
    "The line *Expected* has the text of the error about a wrong value: what was expected and, in parentheses, what to do.",
    "The error also names the property, and says what was found.",
    "[errors.md](errors.md) has all other errors.",
    "",
    "One error lists all problems of a component.",
    "It comes before any resource of the component is registered, so a preview shows it too.",
    "An Output is checked once its value is known.",
    "So `up` may refuse an Output whose value the preview did not know yet.",
    "An object that is not marked *Output*, such as `hosts` or `traffic`, must be a plain object with Outputs inside it,",
    "because such an object decides which resources there are.",
    "No error shows a secret, nor any part of a `connection`.",
    "",
    ...words,
    ...places.flatMap((place) => interfaceText(place, places, all)),
    ...choicesText(
      all,
      places.flatMap(({ name }) => propertiesOf(name, all)),
    ),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}

export function outputsPage(all: Declarations): string {
  const given = components.flatMap((name) => all.get(name) ?? []);
  const names = given.map(({ name }) => name);
  for (const name of names)
    names.push(...namedIn(propertiesOf(name, all), all, "interface").filter((one) => !names.includes(one)));
  const links = new Set(names);
  return [
    "# Outputs",
    "",
    made,
    "",
    "Each property of a component is an Output.",
    "A property that is marked *may be absent* does not always have a value.",
    "",
    ...names.flatMap((name) => {
      const one = all.get(name);
      if (one === undefined) return [];
      return [
        `## ${name}`,
        "",
        sentences(one.text),
        "",
        ...propertiesOf(name, all).flatMap((property) => [
          `- **\`${property.name}\`**: ${typeText(property.type, links, all)}${property.isOptional ? ", may be absent" : ""}`,
          "",
          sentences(property.text, "  "),
          "",
        ]),
      ];
    }),
    ...choicesText(
      all,
      names.flatMap((name) => propertiesOf(name, all)),
    ),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}

/** The interfaces of arguments in the order in which they are met, each once. */
function placesOf(all: Declarations): readonly Place[] {
  const places: Place[] = components.map((component) => ({ name: `${component}Args`, component, path: [] }));
  for (const { name, component, path } of places)
    for (const property of propertiesOf(name, all))
      for (const inner of namedIn([property], all, "interface"))
        if (!places.some((one) => one.name === inner))
          places.push({ name: inner, component, path: [...path, property.name, ...keyOf(property.type)] });
  return places;
}

/** The key of an entry in a map or a list. */
function keyOf(type: string): Path {
  if (type.startsWith("Record<")) return ["name"];
  return type.endsWith("[]") ? [0] : [];
}

function interfaceText(place: Place, places: readonly Place[], all: Declarations): string[] {
  const one = all.get(place.name) as Declaration;
  const links = new Set(places.map(({ name }) => name));
  const inherited = place.path.length === 0 ? sameAs(place, all) : undefined;
  const properties = propertiesOf(place.name, all).filter(({ name }) => !inherited?.has(name));
  return [
    `## ${place.name}`,
    "",
    sentences(one.text),
    ...whereText(place),
    ...inheritedText(inherited),
    "",
    ...properties.flatMap((property) =>
      propertyText(property, links, all, refusalOf(place.component, [...place.path, property.name])),
    ),
  ];
}

/**
 * The properties that BypassHostArgs and BypassNodePoolArgs share with an interface that has a
 * section of its own, by name.
 */
function sameAs(place: Place, all: Declarations): ReadonlyMap<string, string> {
  const same = new Map<string, string>();
  if (place.component === "SocketBypass") return same;
  const own = new Set(all.get(place.name)?.properties.map(({ name }) => name));
  const inner = place.component === "BypassHost" ? "hosts" : "nodePools";
  const entry = propertiesOf("SocketBypassArgs", all).find(({ name }) => name === inner);
  const others = ["SocketBypassArgs", ...namedIn(entry === undefined ? [] : [entry], all, "interface")];
  for (const { name } of propertiesOf(place.name, all)) {
    const from = others.find((other) => propertiesOf(other, all).some((property) => property.name === name));
    if (from !== undefined && !own.has(name)) same.set(name, from);
  }
  return same;
}

function inheritedText(inherited: ReadonlyMap<string, string> = new Map()): string[] {
  return [...new Set(inherited.values())].flatMap((from) => {
    const names = [...inherited].filter(([, its]) => its === from).map(([name]) => `\`${name}\``);
    return ["", sentences(`It has these properties of ${linkTo(from)}: ${names.join(", ")}.`)];
  });
}

function whereText({ component, path }: Place): string[] {
  if (path.length === 0) return ["", `These are the arguments of \`new ${component}(name, args)\`.`];
  const words = path.map((key) => (key === 0 ? "[]" : key === "name" ? "[…]" : `.${key}`)).join("");
  return ["", `It is given as \`${words.replace(/^\./, "")}\` of \`${component}\`.`];
}

function propertyText(
  property: Property,
  links: ReadonlySet<string>,
  all: Declarations,
  refusal: Refusal | undefined,
): string[] {
  const marks = [property.isOptional ? "" : ", required", property.isInput ? ", *Output*" : ""].join("");
  return [
    `- **\`${property.name}\`**: ${typeText(property.type, links, all)}${marks}`,
    "",
    sentences(property.text, "  "),
    ...(refusal === undefined || refusal.expected === "an object"
      ? []
      : ["", sentences(`*Expected*: ${refusal.expected} (${refusal.fix}).`, "  ")]),
    "",
  ];
}

/** The names of interfaces or choices in the types of properties. */
function namedIn(properties: readonly Property[], all: Declarations, kind: Declaration["kind"]): string[] {
  const words = properties.flatMap(({ type }) => type.match(/\b[A-Z]\w+/g) ?? []);
  return [...new Set(words)].filter((word) => all.get(word)?.kind === kind);
}

function typeText(type: string, links: ReadonlySet<string>, all: Declarations): string {
  const map = /^Record<string, (.*)>$/.exec(type)?.[1];
  if (map !== undefined) return `map of ${typeText(map, links, all)}`;
  if (type.endsWith("[]")) return `list of ${typeText(type.slice(0, -2).replace(/^\((.*)\)$/, "$1"), links, all)}`;
  const parts = type.split(" | ");
  if (parts.length > 1) return parts.map((part) => typeText(part, links, all)).join(" or ");
  const words: Readonly<Record<string, string>> = { string: "text", number: "number", boolean: "true or false" };
  const isKnown = links.has(type) || all.get(type)?.kind === "choice";
  return words[type] ?? (isKnown ? linkTo(type) : `\`${type}\``);
}

function linkTo(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

function choicesText(all: Declarations, properties: readonly Property[]): string[] {
  return namedIn(properties, all, "choice").flatMap((name) => {
    const { text, properties } = all.get(name) as Declaration;
    const words = properties.map((word) =>
      sentences(`- \`"${word.name}"\`${word.text === "" ? "" : `: ${word.text}`}`),
    );
    return [`## ${name}`, "", sentences(text), "", ...words, ""];
  });
}
