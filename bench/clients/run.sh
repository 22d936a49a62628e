#!/usr/bin/env bash
# Runs clients that people use, unmodified, against appliances of its own on free ports: the official OpenAI clients for
# Node and Python in depth, then those of OpenAI, Anthropic, Ollama and the AI SDK through one conformance script, on a model
# of the device and on one of another appliance.
#
#   bench/clients/run.sh                                  # with a small random model
#   MODEL=FILE.gguf REFERENCE=FILE.json bench/clients/run.sh   # texts must be those of the reference
#
# Node's clients are installed beside this script with npm ci. Python's takes part where python3 has the package openai.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
ledge=${LEDGE:-bin/ledge}
[ -x "$ledge" ] || { echo "$ledge is missing: run make build" >&2; exit 1; }
command -v node >/dev/null && command -v npm >/dev/null || { echo "Node and npm are needed" >&2; exit 1; }
[ -d "$here/node_modules/ollama" ] || (cd "$here" && npm ci --silent --no-audit --no-fund)

work=$(mktemp -d)
pids=()
stop() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

# serve NAME ARGUMENT... starts an appliance and leaves the address of its API in base. Port 0 lets the kernel choose; the
# banner says what it chose.
serve() {
  local name=$1
  shift
  "$ledge" serve --data "$work/$name" --listen 127.0.0.1:0 --admin 127.0.0.1:0 "$@" >"$work/$name.out" 2>"$work/$name.err" &
  pids+=($!)
  for _ in $(seq 600); do
    base=$(sed -n 's/^ *api *\(http.*\)$/\1/p' "$work/$name.out")
    [ -z "$base" ] || return 0
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "the appliance did not start:" >&2
  cat "$work/$name.out" "$work/$name.err" >&2
  exit 1
}

model=${MODEL:-}
if [ -z "$model" ]; then
  model=$work/tiny.gguf
  go run ./bench/tinymodel -o "$model"
fi
serve device --model "$model"

status=0
echo "openai for Node $(node -p "require('$here/node_modules/openai/package.json').version")"
node "$here/openai.mjs" "$base" ${REFERENCE:+"$REFERENCE"} || status=1
if python3 -c 'import openai' 2>/dev/null; then
  echo "openai for Python $(python3 -c 'import openai; print(openai.__version__)')"
  python3 "$here/openai_client.py" "$base" || status=1
else
  echo "openai for Python is left out: python3 has no package openai"
fi

cat >"$work/remote.yaml" <<EOF
upstreams:
  box: {base_url: "$base", models: [default]}
routes:
  remote:
    models: [box/default]
    guards: {input: [{plugin: injection-guard, on_error: closed}]}
EOF
serve remote -c "$work/remote.yaml" --model "$model"
node "$here/conformance.mjs" "$base" default remote || status=1
exit $status
