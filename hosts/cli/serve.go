package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/telemetry"
	"github.com/ledge-run/ledge/runtime/upstream"
)

// drainTime is how long requests in work may go on after an interrupt.
const drainTime = 20 * time.Second

// siteFlags are the flags of every verb that assembles a runtime. What is given goes over the configuration file.
type siteFlags struct {
	config  string
	data    string
	model   string
	offline bool
	plugins []string
}

func (f *siteFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration `FILE` (default: built-in configuration)")
	c.Flags().StringVar(&f.data, "data", "", "state `DIR` (default: $LEDGE_DATA, or ledge below the user's data directory)")
	c.Flags().StringVar(&f.model, "model", "", "GGUF `FILE` of the model on this device, or the name of an installed one")
	c.Flags().BoolVar(&f.offline, "offline", false, "reach nothing but this host and the networks of site in the configuration: no remote model, no request of a plugin")
	c.Flags().StringArrayVar(&f.plugins, "plugin", nil, "replace a plugin's module: `NAME=FILE.wasm`; may be repeated")
}

func (f *siteFlags) load() (*config.Config, error) {
	cfg, err := config.Load(f.config)
	if err != nil {
		return nil, err
	}
	if f.data != "" {
		cfg.Data = f.data
	}
	if f.model != "" {
		cfg.Model.File = f.model
	}
	cfg.Offline = cfg.Offline || f.offline
	for _, p := range f.plugins {
		name, file, ok := strings.Cut(p, "=")
		if !ok || name == "" || file == "" {
			return nil, usagef("--plugin %q is not NAME=FILE.wasm", p)
		}
		old := cfg.Plugins[name]
		old.Builtin, old.File = "", file
		cfg.Plugins[name] = old
	}
	return cfg, cfg.Check()
}

func newServeCommand(version string) *cobra.Command {
	var site siteFlags
	var listen, admin string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the OpenAI API and the administration API",
		Long: "Serve the OpenAI API and the administration API until interrupted.\n\n" +
			"The first interrupt lets requests in work finish; a second one ends the process at once.\n" +
			"SIGHUP reloads every plugin that comes from a file; a plugin whose file changes is reloaded by itself.\n\n" +
			"An address that the network can reach is served only when callers must say who they are: see auth in the\n" +
			"configuration, and ledge key. \"auth: none\" serves it to everyone.",
		Example: "  ledge serve --model model.gguf\n" +
			"  ledge serve -c ledge.yaml --data /var/lib/ledge --listen 0.0.0.0:8080 # the file has an auth section\n" +
			"  ledge serve --model model.gguf --plugin router=my-router.wasm\n" +
			"  ledge serve --model model.gguf --offline # remote models and plugins' requests cannot leave this host",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := site.load()
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
			}
			if admin != "" {
				cfg.Admin = admin
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			return serve(c.Context(), cfg, version, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	site.register(c)
	c.Flags().StringVar(&listen, "listen", "", "`ADDRESS` of the OpenAI API (default 127.0.0.1:8080)")
	c.Flags().StringVar(&admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	return c
}

func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // the configuration was checked
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// exposed refuses addresses that the network can reach while nobody is asked who they are.
func exposed(cfg *config.Config) error {
	if cfg.Auth.Required() || cfg.Auth.Off {
		return nil
	}
	for flag, address := range map[string]string{"--listen": cfg.Listen, "--admin": cfg.Admin} {
		if !config.Loopback(address) {
			return fmt.Errorf("%s %s can be reached from the network, and nobody is asked who they are;\n"+
				"put auth: {keys: true} into the configuration and make a key with ledge key add, or write auth: none to serve everyone", flag, address)
		}
	}
	return nil
}

func serve(ctx context.Context, cfg *config.Config, version string, stdout, stderr io.Writer) error {
	begun := time.Now()
	log := newLogger(cfg.Log, stderr)
	if err := exposed(cfg); err != nil {
		return err
	}
	var secure *tls.Config
	if cfg.TLS.Cert != "" {
		var err error
		if secure, err = edge.NewTLS(cfg.TLS, log); err != nil {
			return err
		}
	}
	// Addresses first: an appliance that cannot be reached should say so before it loads a model.
	api, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --listen", err)
	}
	defer api.Close()
	admin, err := net.Listen("tcp", cfg.Admin)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --admin", err)
	}
	defer admin.Close()

	metrics := edge.NewMetrics()
	observe := metrics.Observe
	var rt *runtime.Runtime
	exporter, err := newExporter(cfg, metrics, version, log, func(m string) (telemetry.Provider, bool) { return rt.Provider(m) })
	if err != nil {
		return err
	}
	if exporter != nil {
		observe = func(t *pipeline.Trace) { metrics.Observe(t); exporter.Observe(t) }
	}
	rt, err = runtime.New(ctx, cfg, runtime.Options{Logger: log, OnTrace: observe})
	if err != nil {
		return err
	}
	metrics.Watch(rt)
	s := &edge.Server{Runtime: rt, Log: log, Metrics: metrics, MaxBody: int64(cfg.Limits.Body), Places: cfg.Limits.Concurrency + cfg.Limits.Queue, Version: version, Origins: cfg.Origins,
		AdminCredentials: cfg.Auth.Required() && !config.Loopback(cfg.Admin)}
	if exporter != nil {
		s.Spans = exporter.Begin
		metrics.WatchTelemetry(exporter)
	}
	go shedStartup()
	banner(stdout, cfg, rt, api.Addr(), admin.Addr(), version, time.Since(begun))

	go shedWork(ctx)
	go reloadOnHangup(ctx, rt, log)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 2)
	for _, each := range []struct {
		handler  *edge.Server
		listener net.Listener
	}{{s, api}, {nil, admin}} {
		h := s.Admin()
		if each.handler != nil {
			h = s.API()
		}
		srv := edge.NewHTTPServer(h, log)
		if each.handler != nil || !config.Loopback(cfg.Admin) { // tools on this machine reach the administration API plainly
			srv.TLSConfig = secure
		}
		go func() { done <- edge.Serve(serving, srv, each.listener, drainTime) }()
	}
	go func() {
		<-ctx.Done()
		fmt.Fprintln(stdout, "stopping: requests in work finish first; interrupt again to end at once")
	}()
	err = <-done
	stop() // one surface without the other is no appliance
	err = errors.Join(err, <-done)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = errors.Join(err, rt.Close(closing))
	if exporter != nil {
		exporter.Close(closing)
	}
	return err
}

// newExporter returns what sends telemetry to the collector of the configuration; nil: it names none.
func newExporter(cfg *config.Config, metrics *edge.Metrics, version string, log *slog.Logger, providers telemetry.Providers) (*telemetry.Exporter, error) {
	t := &cfg.Telemetry
	if t.OTLP == "" {
		return nil, nil
	}
	headers := map[string]string{}
	for name, value := range t.Headers {
		headers[name] = string(value)
	}
	return telemetry.New(telemetry.Config{Endpoint: t.OTLP, Headers: headers, Service: t.Service, Version: version, Sample: t.Sample, Interval: t.Interval.D(),
		Client: upstream.NewClient(cfg.Gap(), upstream.DefaultConnect), Metrics: metrics.Registry, Providers: providers, Log: log})
}

func reloadOnHangup(ctx context.Context, rt *runtime.Runtime, log *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		for _, p := range rt.Plugins() {
			if p.FromFile() {
				if err := rt.Reload(ctx, p.Name()); err != nil {
					log.Error("plugin not reloaded", "plugin", p.Name(), "error", err)
				}
			}
		}
	}
}

// banner tells a person what serves, where, and what to do next.
func banner(w io.Writer, cfg *config.Config, rt *runtime.Runtime, api, admin net.Addr, version string, took time.Duration) {
	fmt.Fprintf(w, "ledge %s, ready in %d ms\n", version, took.Milliseconds())
	scheme := func(address string, local bool) string {
		if cfg.TLS.Cert != "" && !(local && config.Loopback(address)) {
			return "https"
		}
		return "http"
	}
	fmt.Fprintf(w, "  api     %s://%s/v1\n", scheme(cfg.Listen, false), api)
	fmt.Fprintf(w, "  admin   %s://%s/admin/v1, /metrics\n", scheme(cfg.Admin, true), admin)
	if cfg.Auth.Required() {
		fmt.Fprintf(w, "  auth    %s\n", describeAuth(cfg, rt))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		r := cfg.Routes[name]
		fmt.Fprintf(w, "  route   %s: %s\n", name, describeRoute(&r))
	}
	models := rt.LocalModels()
	for _, m := range models {
		when := ""
		if !m.Pinned {
			when = ", loaded when it is needed"
		}
		fmt.Fprintf(w, "  model   %s (%s, %d tokens of context, %d MiB%s)\n", m.Name, m.Info.Architecture, m.Info.ContextTokens, m.Info.FileBytes>>20, when)
	}
	if len(models) == 0 {
		fmt.Fprintf(w, "  model   none\n")
	}
	fmt.Fprintf(w, "  data    %s\n", rt.DataDir())
	if off := rt.Offline(); off != nil {
		fmt.Fprintf(w, "  offline %s\n", describeOffline(off))
	}
	for _, reason := range rt.Degraded() {
		fmt.Fprintf(w, "degraded: %s\n", reason)
	}
	for _, a := range []struct {
		addr net.Addr
		what string
	}{{api, "the API asks for no credentials"}, {admin, "the administration API asks for no credentials"}} {
		if tcp, ok := a.addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && !cfg.Auth.Required() {
			fmt.Fprintf(w, "warning: %s is reachable from the network, and %s\n", a.addr, a.what)
		}
	}
}

// describeAuth says which credentials are taken, and what to do when there is none yet.
func describeAuth(cfg *config.Config, rt *runtime.Runtime) string {
	var kinds []string
	if n := len(rt.Keys().List("")); cfg.Auth.Keys && n > 0 {
		kinds = append(kinds, fmt.Sprintf("%d API keys", n))
	} else if cfg.Auth.Keys {
		kinds = append(kinds, "API keys (none yet: ledge key add makes one)")
	}
	if cfg.Auth.JWT != nil {
		kinds = append(kinds, "tokens of "+cfg.Auth.JWT.Issuer)
	}
	if cfg.Auth.Certificates != nil {
		kinds = append(kinds, "client certificates")
	}
	return strings.Join(kinds, ", ")
}

// describeOffline says what is in reach and what is not there for it.
func describeOffline(o *runtime.Offline) string {
	out := "reaches " + o.Reaches
	if len(o.LeftOut) > 0 {
		out += "; without " + strings.Join(o.LeftOut, ", ")
	}
	return out
}

func describeRoute(r *config.Route) string {
	var parts []string
	names := func(list []config.Stage) string {
		var out []string
		for _, s := range list {
			out = append(out, s.Plugin)
		}
		return strings.Join(out, "+")
	}
	for _, part := range []struct{ label, value string }{
		{"guard", names(r.Guards.Input)}, {"router", r.Router.Plugin}, {"cache", r.Cache.Plugin},
		{"model", strings.Join(r.Models, "|")}, {"tools", strings.Join(r.Tools, "+")}, {"guard", names(r.Guards.Answer)}, {"guard", names(r.Guards.Output)},
	} {
		if part.value != "" {
			parts = append(parts, part.label+" "+part.value)
		}
	}
	return strings.Join(parts, " > ")
}
