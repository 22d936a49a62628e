package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// servers are the processes that are measured, until they are told to stop.
type servers struct {
	ctx  context.Context
	all  sync.WaitGroup
	work string // a folder of the run's own
	base string // the mock's
}

// ledge starts the appliance with three plugins in front of the mock, without its cache.
func (s *servers) ledge(binary string) (*way, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w; run make build", err)
	}
	config := fmt.Sprintf(`log: {level: error}
limits: {concurrency: 256, queue: 2048}
upstreams:
  mock: {base_url: "%s", api_key: none, models: [m]}
routes:
  default:
    models: [mock/m]
    router: {plugin: router}
    guards:
      input: [{plugin: pii-guard}, {plugin: injection-guard}]
`, s.base)
	file, err := s.file("ledge.yaml", config)
	if err != nil {
		return nil, err
	}
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(s.ctx, binary, "serve", "-c", file, "--data", filepath.Join(s.work, "data"), "--listen", api, "--admin", admin)
	cmd.Stderr = os.Stderr
	if err := s.start(cmd, "http://"+api+"/livez"); err != nil {
		return nil, err
	}
	return &way{Name: "ledge, router + pii-guard + injection-guard", url: "http://" + api + "/v1/chat/completions", model: "default", pid: cmd.Process.Pid}, nil
}

// nginx starts the peer that only passes bytes on.
func (s *servers) nginx() (*way, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		return nil, fmt.Errorf("%w; install nginx", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	prefix := filepath.Join(s.work, "nginx")
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		return nil, err
	}
	upstream := strings.TrimSuffix(strings.TrimPrefix(s.base, "http://"), "/v1")
	file, err := s.file("nginx.conf", fmt.Sprintf(`daemon off; worker_processes auto; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  client_body_buffer_size 64k; keepalive_requests 100000000;
  upstream mock { server %[2]s; keepalive 512; keepalive_requests 100000000; }
  server {
    listen %[3]s backlog=4096;
    location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`, prefix, upstream, address))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(s.ctx, binary, "-p", prefix, "-c", file)
	cmd.Stderr = os.Stderr
	if err := s.start(cmd, "http://"+address+"/"); err != nil {
		return nil, err
	}
	return &way{Name: "nginx, proxy_pass", url: "http://" + address + "/v1/chat/completions", model: "m", pid: cmd.Process.Pid}, nil
}

// portkey starts the peer with no plugin of its own.
func (s *servers) portkey(server string) (*way, error) {
	if _, err := os.Stat(server); err != nil {
		return nil, fmt.Errorf("%w; run npm ci in bench/gateway", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(s.ctx, "node", server, "--headless", "--port="+port)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "TRUSTED_CUSTOM_HOSTS=127.0.0.1,localhost")
	if err := s.start(cmd, "http://"+address+"/"); err != nil {
		return nil, err
	}
	return &way{Name: "Portkey (npm), no plugins", url: "http://" + address + "/v1/chat/completions", model: "m", pid: cmd.Process.Pid, headers: map[string]string{
		"x-portkey-provider": "openai", "x-portkey-custom-host": s.base, "Authorization": "Bearer none"}}, nil
}

// litellm starts the peer's proxy with one worker and nothing configured but the model.
func (s *servers) litellm(binary string) (*way, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return nil, fmt.Errorf("%w; pip install 'litellm[proxy]', and name its command with -litellm", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := s.file("litellm.yaml", fmt.Sprintf("model_list:\n  - {model_name: m, litellm_params: {model: openai/m, api_base: %q, api_key: none}}\nlitellm_settings: {telemetry: false}\n", s.base))
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(s.ctx, path, "--config", file, "--host", "127.0.0.1", "--port", port, "--telemetry", "False")
	cmd.Env = append(os.Environ(), "LITELLM_LOCAL_MODEL_COST_MAP=True", "NO_DOCS=True", "LITELLM_MASTER_KEY=sk-bench-0123456789abcdef")
	if err := s.start(cmd, "http://"+address+"/health/liveliness"); err != nil {
		return nil, err
	}
	return &way{Name: "LiteLLM (pip), no callbacks", url: "http://" + address + "/v1/chat/completions", model: "m", pid: cmd.Process.Pid,
		headers: map[string]string{"Authorization": "Bearer sk-bench-0123456789abcdef"}}, nil
}

func (s *servers) file(name, text string) (string, error) {
	path := filepath.Join(s.work, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// start runs the command and waits until the address answers.
func (s *servers) start(cmd *exec.Cmd, url string) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is this process's to pass on
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	s.all.Go(func() { exited <- cmd.Wait() })
	for range 900 {
		select {
		case err := <-exited:
			return fmt.Errorf("%s ended: %w", cmd.Path, errors.Join(err, s.ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("%s does not answer at %s", cmd.Path, url)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// resident is what a process and its children hold of the machine's memory, in bytes: proportional set size, so that what
// they share is counted once.
func resident(pid int) int64 {
	var sum int64
	for _, each := range append(children(pid), pid) {
		doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", each))
		if err != nil {
			continue // it ended
		}
		for line := range strings.SplitSeq(string(doc), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				kib, _ := strconv.ParseInt(f[1], 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

func children(pid int) (out []int) {
	doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for f := range strings.FieldsSeq(string(doc)) {
		if child, err := strconv.Atoi(f); err == nil {
			out = append(append(out, child), children(child)...)
		}
	}
	return out
}

// cpuTime is what a process and its children have used of the processors.
func cpuTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	var ticks int64
	for _, each := range append(children(pid), pid) {
		doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", each))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(doc), ") ")
		if f := strings.Fields(rest); len(f) > 12 { // utime and stime, in hundredths of a second
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
