// SPDX-License-Identifier: Apache-2.0

import { grid, ink, svg, text } from "../report/plot";
import type { FleetResult } from "./result";

const lines: readonly { label: string; colour: string; of: (result: FleetResult) => number }[] = [
  { label: "up", colour: "#0b6bcb", of: ({ up }) => up },
  { label: "up, no checkpoints", colour: "#7fb5ea", of: ({ withoutCheckpoints: { up } }) => up },
  { label: "loop of ssh", colour: "#c4570f", of: ({ loop }) => loop },
  { label: "preview, no changes", colour: "#4d7c0f", of: ({ preview }) => preview },
  { label: "destroy", colour: "#8a8a8a", of: ({ destroy }) => destroy },
];

/** Draws seconds over the number of hosts. */
export function drawFleet(results: readonly FleetResult[]): string {
  const [left, top, width, height] = [60, 64, 520, 260];
  const mostHosts = Math.max(...results.map(({ hosts }) => hosts));
  const mostSeconds = Math.max(...results.flatMap((one) => lines.map(({ of }) => of(one))));
  const step =
    10 ** Math.floor(Math.log10(mostSeconds)) / (mostSeconds / 10 ** Math.floor(Math.log10(mostSeconds)) < 3 ? 2 : 1);
  const xOf = (hosts: number) => left + (hosts / mostHosts) * width;
  const yOf = (value: number) => top + height - (value / mostSeconds) * height;
  const rules = Array.from({ length: Math.floor(mostSeconds / step) + 1 }, (_, at) => at * step).map(
    (value) =>
      `<line x1="${left}" x2="${left + width}" y1="${yOf(value)}" y2="${yOf(value)}" stroke="${value === 0 ? ink : grid}"/>` +
      text(left - 6, yOf(value) + 4, `${value} s`, { size: 11, anchor: "end" }),
  );
  const names = results.map(({ hosts }) =>
    text(xOf(hosts), top + height + 16, `${hosts} hosts`, { size: 11, anchor: "middle" }),
  );
  const drawn = lines.flatMap(({ label, colour, of }, at) => {
    const points = results.map((one) => ({ x: xOf(one.hosts), y: yOf(of(one)) }));
    const path = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.map(({ x, y }) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3" fill="${colour}"/>`),
      `<circle cx="${left + at * 116 + 5}" cy="40" r="5" fill="${colour}"/>`,
      text(left + at * 116 + 15, 44, label, { size: 11 }),
    ];
  });
  return svg(left + width + 60, top + height + 30, "Installing over SSH: seconds by number of hosts", [
    ...rules,
    ...names,
    ...drawn,
  ]);
}
