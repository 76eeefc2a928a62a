// SPDX-License-Identifier: Apache-2.0

// Printable, without what a JSON writer escapes (" & < > \), a shell reads (' ` $), or the line that ends the text holds (_).
const digits = [..."!#%()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^abcdefghijklmnopqrstuvwxyz{|}~"];

/** Five digits for four bytes, where base64 takes five and a third; host/unpack.sh reads it. The last group may be shorter: n bytes, n + 1 digits. */
export function asBase85(data: Buffer): string {
  let text = "";
  for (let at = 0; at < data.length; at += 4) {
    const group = Buffer.alloc(4);
    const length = data.copy(group, 0, at, at + 4);
    let word = "";
    for (let rest = group.readUInt32BE(), i = 0; i < 5; i++, rest = Math.floor(rest / 85))
      word = digits[rest % 85] + word;
    text += word.slice(0, length + 1);
  }
  return text;
}
