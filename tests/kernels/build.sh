#!/bin/bash
# Builds what a guest runs, in the folder OUT: build.sh OUT [OPTION OF CMAKE]... The environment may
# set CC and CXX.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
mkdir -p "$out/plugins" "$out/programs"
if [ ! -f "$out/plugins/denet.so" ]; then
  cmake -S . -B "$out/build" -DDENET_BPF=ON -DDENET_TESTS=OFF "${@:2}"
  cmake --build "$out/build" -j "$(nproc)"
  cp "$out"/build/*.so "$out/plugins"
fi
# The harness compiles no program that is there.
for name in blocker busy crowd duty family files job lives sleeper spawner threads zombie; do
  "${CC:-gcc}" -O1 -D_GNU_SOURCE -pthread -o "$out/programs/$name" "tests/programs/$name.c"
done
"${CC:-gcc}" -O2 -D_GNU_SOURCE -pthread -o "$out/programs/two_waits-O2" tests/programs/two_waits.c
