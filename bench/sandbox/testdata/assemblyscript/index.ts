// The workloads of bench/sandbox in AssemblyScript; testdata/go has the comments.
const data = memory.data(65536);

export function buffer(): u32 { return data as u32; }

export function scan(n: u32): u32 {
  let found: u32 = 0, run: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(data + i);
    if (c >= 48 && c <= 57) { run++; if (run >= 4) found++; }
    else if (c == 64) { found += 100; run = 0; }
    else run = 0;
  }
  return found;
}

export function chunk(n: u32): u32 {
  let sum: u32 = 0, start: u32 = 0, space: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(data + i);
    if (c == 32 || c == 10) space = i + 1;
    if (i - start >= 200) {
      if (space <= start) space = i + 1;
      sum = sum * 31 + (space - start);
      start = space;
    }
  }
  return sum;
}

export function parse(n: u32): u32 {
  const words = String.UTF8.decodeUnsafe(data, n).split(" ");
  const seen = new Map<string, i32>();
  for (let i = 0; i < words.length; i++) {
    const w = words[i].toLowerCase();
    seen.set(w, seen.has(w) ? seen.get(w) + 1 : 1);
  }
  return seen.size;
}
