package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/runtime/airgap"
)

// offlineVariable switches offline mode on whatever a file or a flag says: who starts the process has the last word.
const offlineVariable = "LEDGE_OFFLINE"

// offlineByEnvironment says whether the environment switches offline mode on. It cannot switch it off.
func offlineByEnvironment() (bool, error) {
	v := os.Getenv(offlineVariable)
	if v == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s=%q is neither true nor false", offlineVariable, v)
	}
	return on, nil
}

// Gap is what the appliance may dial; nil unless it is offline.
func (c *Config) Gap() *airgap.Gap {
	if !c.Offline {
		return nil
	}
	site, err := airgap.ParseNetworks(c.Site)
	if err != nil {
		site = nil // Check reports it; until then nothing beyond this host
	}
	return airgap.New(site)
}

// TierName is the tier of the upstream's models.
func (u *Upstream) TierName() string {
	if u.Local {
		return cmp.Or(u.Tier, "large")
	}
	return cmp.Or(u.Tier, "remote")
}

// LeftOut says whether a model or pool is not there because the appliance is offline: it is remote, or all its members are.
func (c *Config) LeftOut(name string) bool {
	if !c.Offline || c.onDevice(name) {
		return false
	}
	if pool, ok := c.Pools[name]; ok {
		return len(pool) > 0 && !slices.ContainsFunc(pool, func(m PoolMember) bool { return !c.LeftOut(m.Model) })
	}
	upstream, _, _ := strings.Cut(name, "/")
	return c.isModel(name) && !c.Upstreams[upstream].Local
}

// AllLeftOut lists the remote models that are not there because the appliance is offline, as UPSTREAM/MODEL.
func (c *Config) AllLeftOut() []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		for _, m := range c.Upstreams[name].Models {
			if c.LeftOut(name + "/" + m) {
				out = append(out, name+"/"+m)
			}
		}
	}
	return out
}

// validateOffline checks what being offline asks for beside the routes: an upstream that is said to be local must be.
func (c *Config) validateOffline(add func(path, format string, args ...any)) {
	for i, text := range c.Site {
		if _, err := airgap.ParseNetworks([]string{text}); err != nil {
			add(fmt.Sprintf("site[%d]", i), "%v", err)
		}
	}
	gap := c.Gap()
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		u := c.Upstreams[name]
		if base, err := url.Parse(u.BaseURL); err == nil && u.Local && gap.CheckHost(base.Hostname()) != nil {
			add("upstreams."+name+".base_url", "%q is said to be local, and is neither this host nor in a network of site", u.BaseURL)
		}
	}
}

// validateOfflineRoute refuses a route that nothing could answer.
func (c *Config) validateOfflineRoute(path string, r *Route, add func(path, format string, args ...any)) {
	if c.Offline && !slices.ContainsFunc(r.Models, func(m string) bool { return !c.LeftOut(m) }) {
		add(path+".models", "the appliance is offline, and all models of this route are remote (%s); name one on this device, or say local: true of an upstream on this host or in a network of site",
			strings.Join(r.Models, ", "))
	}
}
