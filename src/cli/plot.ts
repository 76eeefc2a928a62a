// SPDX-License-Identifier: Apache-2.0
import { type Compared, costOf } from "./compare";

const [ink, grid] = ["#1f2328", "#d8dee4"];
const sides = [
  { label: "before", colour: "#8a8a8a" },
  { label: "after", colour: "#0b6bcb" },
] as const;

/** Draws the processor time for each message as a row of two dots for each service. */
export function drawCosts(all: readonly Compared[]): string {
  const rows = all.flatMap(({ host, port, program, before, after }) => {
    const costs = [costOf(before), costOf(after)] as const;
    return costs[0] === undefined || costs[1] === undefined
      ? []
      : [{ label: `${host} ${program}:${port}`, costs: [costs[0], costs[1]] as const }];
  });
  const most = stepOf(Math.max(...rows.flatMap(({ costs }) => costs), 1));
  const [left, top, width, step] = [300, 66, 520, 24];
  const bottom = top + rows.length * step;
  const xOf = (cost: number) => left + (cost / most) * width;
  const rules = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const x = xOf(part * most);
    return `<line x1="${x}" x2="${x}" y1="${top}" y2="${bottom}" stroke="${grid}"/>${text(x, bottom + 16, `${part * most}`, "middle")}`;
  });
  const drawn = rows.map(({ label, costs }, at) => {
    const y = top + at * step + step / 2;
    const dots = costs.map(
      (cost, side) => `<circle cx="${xOf(cost).toFixed(1)}" cy="${y}" r="5" fill="${sides[side]?.colour}"/>`,
    );
    const line = `<line x1="${xOf(costs[0]).toFixed(1)}" x2="${xOf(costs[1]).toFixed(1)}" y1="${y}" y2="${y}" stroke="${grid}" stroke-width="3"/>`;
    return text(left - 10, y + 4, label, "end") + line + dots.join("");
  });
  const legend = sides.map(
    ({ label, colour }, at) =>
      `<circle cx="${left + 5 + at * 90}" cy="44" r="5" fill="${colour}"/>${text(left + 15 + at * 90, 48, label)}`,
  );
  const title = "Processor time of both ends for each message, in microseconds";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 50} ${bottom + 30}" font-family="sans-serif" role="img" aria-label="${title}">
<rect width="${left + width + 50}" height="${bottom + 30}" fill="#ffffff"/>
${text(12, 20, title, "start", "bold")}
${[...legend, ...rules, ...drawn].join("\n")}
</svg>
`;
}

/** The end of the axis: 1, 2 or 4 times a power of ten. */
function stepOf(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 10].map((times) => times * power).find((end) => end >= most) ?? most;
}

function text(x: number, y: number, words: string, anchor = "start", weight = "normal"): string {
  // A program on a host chooses its name.
  const safe = words.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="12" text-anchor="${anchor}" font-weight="${weight}" fill="${ink}">${safe}</text>`;
}
