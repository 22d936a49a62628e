"""Holds the AVX-512 kernels of panels and tiles against the AVX2 ones in an emulator, to the bit.

usage: compare.py TEST-BINARY [SEEDS]

Blocks are random, all ones, or the most negative; buffers end where readable memory does.
"""
import os
import random
import struct
import sys

from machine import Machine

# Elements of a block, bytes of a panel's block, where its factors are, bytes of an unpacked block (none: as it is).
FORMATS = {"Q8_0": (32, 544, 512, None), "Q4_0": (32, 288, 256, 576), "Q5_0": (32, 352, 320, 576),
           "Q4_K": (256, 2304, 0, 4992), "Q5_K": (256, 2816, 0, 4992), "Q6_K": (256, 3360, 0, 5696)}


def pack(code, values):
    return struct.pack("<%d%s" % (len(values), code), *values)


def floats(r, n):
    return pack("f", [abs(r.gauss(0, 0.01)) + 1e-4 for _ in range(n)])


def panel(r, name, blocks, kind):
    _, size, at, _ = FORMATS[name]
    out = b""
    for _ in range(blocks):
        b = bytearray({"random": r.randbytes(size), "ones": b"\xff" * size, "least": b"\x80" * size}[kind])
        b[at:at + 32] = pack("e", [r.gauss(0, 0.01) for _ in range(16)])
        if name in ("Q4_K", "Q5_K"):
            b[32:64] = pack("e", [r.gauss(0, 0.01) for _ in range(16)])
        out += b
    return out


def activations(r, n, kind):
    return [r.randint(-127, 127) if kind == "random" else 127 * (1 - 2 * (i // 3 % 2)) for i in range(n)]


def sums(q, of):
    return [sum(q[i:i + of]) for i in range(0, len(q), of)]


def compare_panel(m, r, name, blocks, kind):
    elements = FORMATS[name][0]
    w, q = m.put(panel(r, name, blocks, kind)), activations(r, blocks * elements, kind)
    args = [w, m.put(pack("b", q)), m.put(floats(r, blocks)), m.put(pack("i", sums(q, 32)) if elements == 32 else pack("h", sums(q, 16))), blocks]
    out = []
    for kernels in ("AVX2", "AVX512"):
        dst = m.put(b"\xff" * 64)
        m.call("panel" + name + kernels, *args, dst)
        out.append(m.read(dst, 64))
    return w, out[0] == out[1]


def compare_tile(m, r, name, blocks, kind, record, rows):
    elements = FORMATS[name][0]
    columns = blocks * elements
    qs = [activations(r, columns, kind) for _ in range(rows)]
    if elements == 32:
        per, stride = [pack("i", [-8 * s for s in sums(q, 32)]) for q in qs], blocks * 4
    elif name == "Q6_K":
        per, stride = [pack("h", sums(q, 16)) for q in qs], blocks * 32
    else:
        per, stride = [pack("h", sums(q, 32)) for q in qs], blocks * 16
    a, s, scale = m.put(b"".join(pack("b", q) for q in qs)), m.put(b"".join(per)), m.put(floats(r, blocks * rows))
    before = floats(r, 16 * rows)
    out = []
    for kernels, at_once in (("AVX512", rows), ("AVX2", 1)):
        dst, low = m.put(before), m.put(before)
        for k in range(0, rows, at_once):
            m.call("tile%s%d%s" % (name, at_once, kernels), record, a + k * columns, columns, s + k * stride, stride, scale + k * blocks * 4, blocks * 4,
                   blocks, dst + 64 * k, low + 64 * k, record)
        out.append(m.read(dst, 64 * rows) + m.read(low, 64 * rows))
    return out[0] == out[1]


def main():
    m, count, different = Machine(sys.argv[1], "github.com/ledge-run/ledge/runtime/slm/kernel"), 0, 0
    for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        r = random.Random(seed)
        for name, (_, _, _, unpacked) in FORMATS.items():
            for blocks in (1, 2, 5) if unpacked != 4992 else (1, 2):
                for kind in ("random", "ones", "least"):
                    record, same = compare_panel(m, r, name, blocks, kind)
                    results = {"panel": same}
                    if unpacked:
                        w, record = record, m.put(bytes(unpacked * blocks))
                        m.call("unpack" + name + "AVX2", w, record, blocks)
                    for rows in (1, 2, 4, 8):
                        results["tile of %d rows" % rows] = compare_tile(m, r, name, blocks, kind, record, rows)
                    for what, same in results.items():
                        count += 1
                        if not same:
                            different += 1
                            print("%s %s, %d blocks, %s: AVX-512 differs from AVX2" % (name, what, blocks, kind))
    print("%d comparisons, %d differ" % (count, different), flush=True)
    os._exit(1 if different or not count else 0)  # the library does not end cleanly


main()
