"""A processor with AVX-512 VNNI that runs single functions of a Go test binary."""
import ctypes
import struct
import subprocess

import bochscpu
import bochscpu.cpu
import bochscpu.memory

PAGE = 4096
STACK, HALT, TLS, HEAP = 0x7000_0000, 0x6000_0000, 0x5000_0000, 0x1_0000_0000
FIRST_PAGE, TABLES = 0x2000_0000, 0x1000_0000  # physical


class Machine:
    """Holds the binary's segments, a stack, and buffers that end where a page ends and nothing follows."""

    def __init__(self, path, package):
        self.pages, self.physical, self.tables, self.kept = {}, {}, TABLES, []
        self.session, self.changed, self.next = bochscpu.Session(), True, HEAP
        self.symbols = {}
        for line in subprocess.run(["go", "tool", "nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
            f = line.split()
            if len(f) == 3 and f[2].startswith(package + ".") and f[2].endswith(".abi0"):
                self.symbols[f[2][len(package) + 1:-5]] = int(f[0], 16)
        with open(path, "rb") as f:
            data = f.read()
        table, = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        for i in range(count):
            kind, _, offset, va, _, length, whole, _ = struct.unpack_from("<IIQQQQQQ", data, table + i * size)
            if kind == 1:
                self.write(va, data[offset:offset + length])
                self.map(va, whole)
        self.map(STACK, 1 << 16)
        self.write(HALT, b"\xf4" * 64)
        self.map(TLS - PAGE, 2 * PAGE)  # the goroutine, whose stack begins at 0
        self.write(TLS - 8, struct.pack("<Q", TLS))

    def map(self, va, size):
        for p in range(va // PAGE, (va + size + PAGE - 1) // PAGE):
            if p not in self.pages:
                self.pages[p] = bochscpu.memory.allocate_host_page()
                self.changed = True

    def write(self, va, data):
        self.map(va, len(data))
        while data:
            p, at = divmod(va, PAGE)
            n = min(PAGE - at, len(data))
            ctypes.memmove(self.pages[p] + at, data[:n], n)
            va, data = va + n, data[n:]

    def read(self, va, n):
        out = b""
        while len(out) < n:
            p, at = divmod(va + len(out), PAGE)
            out += ctypes.string_at(self.pages[p] + at, min(PAGE - at, n - len(out)))
        return out

    def put(self, data):
        """Returns the address of a buffer: reading or writing behind its end is a fault."""
        whole = (len(data) + PAGE - 1) // PAGE * PAGE
        va = self.next + whole - len(data)
        self.write(va, data)
        self.next += whole + 16 * PAGE
        return va

    def build(self):
        if not self.changed:
            return
        tree = bochscpu.memory.PageMapLevel4Table()
        self.kept.append(tree)  # its memory is the tables'
        for p, host in self.pages.items():
            if p not in self.physical:
                self.physical[p] = FIRST_PAGE + len(self.physical) * PAGE
                bochscpu.memory.page_insert(self.physical[p], host)
            tree.insert(p * PAGE, self.physical[p], 7)
        self.tables += 0x10_0000
        for host, physical in tree.commit(self.tables):
            bochscpu.memory.page_insert(physical, host)
        self.changed = False

    def call(self, name, *args):
        """Calls a function by Go's ABI0, with whole numbers and addresses."""
        self.build()
        sp = STACK + 0xc000
        self.write(sp, struct.pack("<%dQ" % (len(args) + 1), HALT, *args))
        s = bochscpu.State()
        bochscpu.cpu.set_long_mode(s)
        s.cr0 &= ~(1 << 16 | 1 << 18)
        s.cr4 |= 1 << 9 | 1 << 10 | 1 << 18
        s.xcr0, s.cr3, s.mxcsr, s.mxcsr_mask = 0xe7, self.tables, 0x1f80, 0xffff

        def segment(selector, attributes, base=0):
            x = bochscpu.Segment()
            x.present, x.selector, x.base, x.limit, x.attr = True, selector, base, 0xffffffff, attributes
            return x
        s.cs = segment(0x10, 0x209b)
        s.ss = s.ds = s.es = s.gs = segment(0x18, 0xcf93)
        s.fs = segment(0x18, 0xcf93, TLS)
        s.rip, s.rsp, s.rflags = self.symbols[name], sp, 0x202
        end = []
        hook = bochscpu.Hook()

        def fault(session, cpu, vector, code=0):
            end.append("exception %d at %#x, address %#x" % (vector, self.session.cpu.state.rip, self.session.cpu.state.cr2))
            self.session.stop()

        def before(*_):
            if HALT <= self.session.cpu.rip < HALT + 64:
                end.append("")
                self.session.stop()
        hook.exception, hook.before_execution = fault, before
        self.session.cpu.state = s
        self.session.run([hook])
        if end[:1] != [""]:
            raise RuntimeError("%s: %s" % (name, end))
