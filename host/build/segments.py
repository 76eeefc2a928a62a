# SPDX-License-Identifier: Apache-2.0
"""segments.py FILE: leaves of an ELF program of 64 bits what the kernel loads. The list of sections is for linkers and debuggers."""
import struct
import sys

with open(sys.argv[1], "r+b") as file:
    header = bytearray(file.read(64))
    (at,), (count,) = struct.unpack_from("<Q", header, 32), struct.unpack_from("<H", header, 56)
    end = at + 56 * count
    for i in range(count):
        file.seek(at + 56 * i)
        _, _, offset, _, _, size, _, _ = struct.unpack("<IIQQQQQQ", file.read(56))
        end = max(end, offset + size)
    # Where the sections are, their size and number, which has their names.
    header[40:48], header[58:64] = bytes(8), bytes(6)
    file.seek(0)
    file.write(header)
    file.truncate(end)
