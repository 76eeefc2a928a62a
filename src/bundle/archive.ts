// SPDX-License-Identifier: Apache-2.0

const block = 512;

/**
 * Makes a ustar archive of plain files that only root may execute, with every timestamp zero. The
 * package brings this code itself because root unpacks the result, so nothing from a registry may
 * make it.
 */
export function asTar(files: readonly (readonly [name: string, data: Buffer])[]): Buffer {
  const entries = files.flatMap(([name, data]) => [
    headerOf(name, data.length),
    data,
    Buffer.alloc((block - (data.length % block)) % block),
  ]);
  return Buffer.concat([...entries, Buffer.alloc(2 * block)]);
}

/** POSIX pax, "ustar Interchange Format": numbers are octal digits with a closing NUL. */
function headerOf(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > 99) throw new RangeError(`${name}: expected a name of at most 99 bytes`);
  const header = Buffer.alloc(block);
  const put = (text: string, at: number) => header.write(text, at, "latin1");
  header.write(name, 0);
  put("0000700", 100);
  put("0000000", 108);
  put("0000000", 116);
  put(size.toString(8).padStart(11, "0"), 124);
  put("00000000000", 136);
  // The checksum is taken with blanks in its own field.
  put("        ", 148);
  put("0", 156);
  put("ustar\u000000", 257);
  put("root", 265);
  put("root", 297);
  const sum = header.reduce((all, one) => all + one, 0);
  put(`${sum.toString(8).padStart(6, "0")}\u0000 `, 148);
  return header;
}
