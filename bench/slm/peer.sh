#!/bin/sh
# Builds llama.cpp's llama-bench for this machine, from the source that PyPI's llama-cpp-python carries, into bench/slm/peer.
# Needs Python with pip, cmake and a C++ compiler; takes some minutes.
set -eu
cd "$(dirname "$0")"
mkdir -p peer && cd peer
test -d src || {
  python3 -m pip download --no-deps --no-build-isolation --no-binary :all: --dest . 'llama-cpp-python==0.3.36'
  mkdir src && tar -xzf llama_cpp_python-*.tar.gz -C src --strip-components 1
}
cmake -S src/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
  -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
cmake --build build --target llama-bench -j "$(nproc)"
cp build/bin/llama-bench .
