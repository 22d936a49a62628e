package residency

import (
	"slices"
	"testing"
)

func TestDeviceMemory_ReadsWhatLinuxSays(t *testing.T) {
	if n := memTotal([]byte("MemFree: 1 kB\nMemTotal:       24576 kB\n")); n != 24<<20 {
		t.Errorf("%d", n)
	}
	for _, bad := range []string{"", "MemTotal: many kB", "MemTotal: -1 kB", "MemTotal: 99999999999999999999 kB"} {
		if n := memTotal([]byte(bad)); n != 0 {
			t.Errorf("%q: %d", bad, n)
		}
	}
	got := limitFiles([]byte("7:memory:/a\n5:cpu:/b\n0::/c/d\nnonsense\n"))
	want := []string{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
		"/sys/fs/cgroup/c/d/memory.max", "/sys/fs/cgroup/c/memory.max", "/sys/fs/cgroup/memory.max"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := DeviceMemory(); n < 16<<20 {
		t.Errorf("this device has %d bytes", n)
	}
}
