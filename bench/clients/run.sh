#!/usr/bin/env bash
# Runs the official clients, unmodified, against an appliance of its own on free ports: OpenAI's in detail, and theirs, Anthropic's,
# Ollama's and the AI SDK through the same checks on a local and on a remote (mock) model.
#
#   bench/clients/run.sh                                  # with a small random model
#   MODEL=FILE.gguf REFERENCE=FILE.json bench/clients/run.sh   # texts must be those of the reference
#
# Node's client is installed beside this script with npm ci. Python's takes part where python3 has the package openai.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
ledge=${LEDGE:-bin/ledge}
[ -x "$ledge" ] || { echo "$ledge is missing: run make build" >&2; exit 1; }
command -v node >/dev/null && command -v npm >/dev/null || { echo "Node and npm are needed" >&2; exit 1; }
[ -d "$here/node_modules/ollama" ] || (cd "$here" && npm ci --silent --no-audit --no-fund)

work=$(mktemp -d)
pid=
mock=
stop() {
  for p in $pid $mock; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

model=${MODEL:-}
if [ -z "$model" ]; then
  model=$work/tiny.gguf
  go run ./bench/tinymodel -o "$model"
fi
# Port 0 lets the kernel choose; the appliance's banner says what it chose.
node "$here/mock.mjs" >"$work/port" &
mock=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
cat >"$work/ledge.yaml" <<YAML
upstreams:
  mock: {base_url: "http://127.0.0.1:$(cat "$work/port")/v1", api_key: none, models: [m]}
YAML
"$ledge" serve -c "$work/ledge.yaml" --data "$work/data" --model "$model" --listen 127.0.0.1:0 --admin 127.0.0.1:0 >"$work/out" 2>"$work/err" &
pid=$!
base=
for _ in $(seq 300); do
  base=$(sed -n 's/^ *api *\(http.*\)$/\1/p' "$work/out")
  [ -z "$base" ] || break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
[ -n "$base" ] || { echo "the appliance did not start:" >&2; cat "$work/out" "$work/err" >&2; exit 1; }

status=0
echo "openai for Node $(node -p "require('$here/node_modules/openai/package.json').version")"
node "$here/openai.mjs" "$base" ${REFERENCE:+"$REFERENCE"} || status=1
if python3 -c 'import openai' 2>/dev/null; then
  echo "openai for Python $(python3 -c 'import openai; print(openai.__version__)')"
  python3 "$here/openai_client.py" "$base" || status=1
else
  echo "openai for Python is left out: python3 has no package openai"
fi
for target in default mock/m; do
  echo "conformance against $target: openai, @anthropic-ai/sdk, ollama, AI SDK"
  node "$here/conformance.mjs" "$base" "$target" || status=1
done
exit $status
