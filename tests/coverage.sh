#!/bin/bash
# Line coverage of core/, by file and in all: of the unit tests, and of the end-to-end tests that run
# the BPF source and off-CPU stacks. As root. The exit status is 0 if at least 90 % of the lines were
# run. Failed tests do not count here (tests/run.sh does that): with counters in each line some are
# too slow. Needs what the tests need, and Debian's gcovr.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}/coverage

cmake -S . -B "$out" -DDENET_BPF=ON -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_C_FLAGS="--coverage -fprofile-update=atomic"
cmake --build "$out" -j "$(nproc)"
find "$out" -name '*.gcda' -delete

ctest --test-dir "$out" --output-on-failure || true
DENET_REQUIRE_BPF=1 python3 tests/e2e/run.py --plugins "$out" --source bpf \
  test_bpf test_off_cpu_stacks test_rules test_tree || true

gcovr --root . --filter core/ --fail-under-line 90 "$out"
