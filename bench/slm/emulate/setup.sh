#!/bin/sh
# Installs Bochs' CPU as PyPI's bochscpu-python carries it into bench/slm/emulate/bochs. Needs Python 3.11 or later on
# Linux/amd64, a C compiler and binutils.
#
# The package makes a processor without VNNI and offers no choice: its library's functions that make one are all pointed to
# the one that makes an Ice Lake. It may also want newer names of a few functions of the C library, which shim.so has.
set -eu
cd "$(dirname "$0")"
mkdir -p bochs && cd bochs
test -d venv || { python3 -m venv venv && venv/bin/pip install -q 'bochscpu-python==0.4.0'; }
cat >shim.c <<'C'
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
unsigned long long __isoc23_strtoull(const char *s, char **end, int base) { return strtoull(s, end, base); }
int __isoc23_sscanf(const char *s, const char *format, ...) {
  va_list v;
  va_start(v, format);
  int n = vsscanf(s, format, v);
  va_end(v);
  return n;
}
C
cc -shared -fPIC -o shim.so shim.c
venv/bin/python - <<'P'
import glob, struct, subprocess
path = glob.glob("venv/lib/python3*/site-packages/bochscpu/_bochscpu.*.so")[0]
listing = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
makers = {f[2]: int(f[0], 16) for f in map(str.split, listing.splitlines()) if "create_" in f[2] and "cpuidP8BX_CPU_C" in f[2]}
icelake = next(at for name, at in makers.items() if "icelake" in name)
data = bytearray(open(path, "rb").read())
table, = struct.unpack_from("<Q", data, 32)
size, count = struct.unpack_from("<HH", data, 54)
for at in makers.values():
    for i in range(count):
        kind, _, offset, va, _, length, _, _ = struct.unpack_from("<IIQQQQQQ", data, table + i * size)
        if at != icelake and kind == 1 and va <= at < va + length:
            data[at - va + offset:at - va + offset + 5] = b"\xe9" + struct.pack("<i", icelake - at - 5)
open(path, "wb").write(data)
P
