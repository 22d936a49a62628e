// The workloads of bench/sandbox in C; testdata/go has the comments.
#define EXPORT(name) __attribute__((export_name(#name))) name
static unsigned char data[1 << 16];

unsigned EXPORT(buffer)(void) { return (unsigned)(unsigned long)data; }

unsigned EXPORT(scan)(unsigned n) {
  unsigned found = 0, run = 0;
  for (unsigned i = 0; i < n; i++) {
    unsigned char c = data[i];
    if (c >= '0' && c <= '9') {
      if (++run >= 4) found++;
    } else if (c == '@') {
      found += 100;
      run = 0;
    } else
      run = 0;
  }
  return found;
}

unsigned EXPORT(chunk)(unsigned n) {
  unsigned sum = 0, start = 0, space = 0;
  for (unsigned i = 0; i < n; i++) {
    if (data[i] == ' ' || data[i] == '\n') space = i + 1;
    if (i - start >= 200) {
      if (space <= start) space = i + 1;
      sum = sum * 31 + (space - start);
      start = space;
    }
  }
  return sum;
}
