// SPDX-License-Identifier: Apache-2.0

import type { Way } from "../loopback/ways";
import type { Result } from "./cell";

type Results = Record<string, Result>;

const drawn: readonly { readonly way: Way; readonly label: string; readonly colour: string; readonly dash?: string }[] =
  [
    { way: "bypass", label: "bypass", colour: "#0b6bcb" },
    { way: "article", label: "article", colour: "#c4570f" },
    { way: "unix", label: "Unix socket", colour: "#4d7c0f" },
    { way: "tcpAgain", label: "TCP again (noise)", colour: "#8a8a8a", dash: "3 3" },
  ];
export const ink = "#1f2328";
export const grid = "#d8dee4";

/** Draws the ratio over the message size, with a panel for each mode and placement. */
export function drawSizes(results: Results): string {
  const modes = ["request/response", "one-way stream", "duplex stream"];
  const places = ["one CPU", "two CPUs"];
  const sizes = ["64 B", "1 KiB", "16 KiB", "64 KiB", "256 KiB"];
  const [width, height, left, top, gap] = [270, 190, 48, 86, 46];
  const panels = places.flatMap((place, y) =>
    modes.map((mode, x) => {
      const [x0, y0] = [left + x * (width + gap), top + y * (height + gap + 18)];
      const most = 3;
      const xOf = (at: number) => x0 + (at * width) / (sizes.length - 1);
      const yOf = (ratio: number) => y0 + height - (Math.min(ratio, most) / most) * height;
      const lines = drawn.map(({ way, colour, dash }) => {
        const points = sizes.flatMap((size, at) => {
          const ratio = results[`${mode} ${size}, ${place}`]?.ratios[way];
          return ratio === undefined ? [] : [{ x: xOf(at), y: yOf(ratio), ratio }];
        });
        const path = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
        // A point outside the panel shows its value as text.
        const over = points
          .filter(({ ratio }) => ratio > most)
          .map(({ x, ratio }) => text(x, y0 - 3, ratio.toFixed(1), { size: 10, colour, anchor: "middle" }));
        const dots = points.map(
          ({ x, y }) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="2.5" fill="${colour}"/>`,
        );
        return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash ? ` stroke-dasharray="${dash}"` : ""}/>${dots.join("")}${over.join("")}`;
      });
      const rules = [0, 1, 2, 3].map(
        (ratio) =>
          `<line x1="${x0}" x2="${x0 + width}" y1="${yOf(ratio)}" y2="${yOf(ratio)}" stroke="${ratio === 1 ? ink : grid}"/>` +
          text(x0 - 6, yOf(ratio) + 4, `${ratio}`, { size: 11, anchor: "end" }),
      );
      const names = sizes.map((size, at) => text(xOf(at), y0 + height + 15, size, { size: 10, anchor: "middle" }));
      const title = text(x0, y0 - 16, `${mode}, ${place}`, { size: 13, weight: "bold" });
      return [title, ...rules, ...names, ...lines].join("\n");
    }),
  );
  const total = { width: left + 3 * (width + gap), height: top + 2 * (height + gap + 18) };
  return svg(total.width, total.height, "Ratio to plain TCP by message size", [legend(left), ...panels]);
}

/** Draws every other cell as a row of dots on one axis. */
export function drawWorkloads(results: Results): string {
  const rows = Object.entries(results).filter(
    ([name]) => !/^(request\/response|one-way stream|duplex stream) /.test(name),
  );
  const [left, top, width, step, most] = [430, 66, 520, 24, 3];
  const xOf = (ratio: number) => left + (Math.min(ratio, most) / most) * width;
  const bottom = top + rows.length * step;
  const rules = [0, 0.5, 1, 1.5, 2, 2.5, 3].map(
    (ratio) =>
      `<line x1="${xOf(ratio)}" x2="${xOf(ratio)}" y1="${top}" y2="${bottom}" stroke="${ratio === 1 ? ink : grid}"/>` +
      text(xOf(ratio), bottom + 16, `${ratio}`, { size: 11, anchor: "middle" }),
  );
  const drawnRows = rows.map(([name, result], at) => {
    const y = top + at * step + step / 2;
    const dots = [...drawn].reverse().flatMap(({ way, colour }) => {
      const ratio = result.ratios[way];
      if (ratio === undefined) return [];
      const over = ratio > most ? text(xOf(most) + 8, y + 4, ratio.toFixed(1), { size: 10, colour }) : "";
      return [
        `<circle cx="${xOf(ratio).toFixed(1)}" cy="${y}" r="${way === "bypass" ? 5.5 : 4}" fill="${colour}" fill-opacity="0.85"/>${over}`,
      ];
    });
    const label = `${name}${result.isCost ? " (less is better)" : ""}`;
    return text(left - 10, y + 4, label, { size: 12, anchor: "end" }) + dots.join("");
  });
  return svg(left + width + 50, bottom + 30, "Ratio to plain TCP", [legend(left), ...rules, ...drawnRows]);
}

function legend(x: number): string {
  return drawn
    .map(({ label, colour }, at) => {
      const at0 = x + at * 135;
      return `<circle cx="${at0 + 5}" cy="34" r="5" fill="${colour}"/>${text(at0 + 15, 38, label, { size: 12 })}`;
    })
    .join("");
}

interface Style {
  readonly size: number;
  readonly anchor?: "middle" | "end";
  readonly colour?: string;
  readonly weight?: string;
}

export function text(x: number, y: number, words: string, style: Style): string {
  const { size, anchor = "start", colour = ink, weight = "normal" } = style;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}" font-weight="${weight}" fill="${colour}">${words}</text>`;
}

export function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" role="img" aria-label="${title}">
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(12, 20, title, { size: 14, weight: "bold" })}
${parts.join("\n")}
</svg>
`;
}
