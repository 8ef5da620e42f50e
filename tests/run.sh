#!/bin/bash
# Builds denet and runs every test, on a bare Debian 12 too: installs what it needs. As root.
# The last line says "N passed, N failed, N skipped"; the exit status is 0 if none failed.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}

packages="build-essential cmake pkg-config collectd-core collectd-dev libyajl-dev libtre-dev check
          clang libclang-rt-dev libbpf-dev libdw-dev bpftool strace python3 procps util-linux
          iproute2 cppcheck libc6-dbg"
# dpkg-query fails when it does not know one of them, which is what we want to hear of.
installed=$(dpkg-query -W -f='${Package} ${Status}\n' $packages 2>/dev/null || true)
missing=
for package in $packages; do
  grep -q "^$package install ok installed" <<<"$installed" || missing="$missing $package"
done
if [ -n "$missing" ]; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi

passed=0 failed=0 skipped=0

# Runs the ctest tests of a build folder and adds up what they did.
run_ctest() {
  local log="$out/$1.log"
  ctest --test-dir "$out/$1" -j "$(nproc)" --output-on-failure --timeout 300 2>&1 | tee "$log" || true
  local total bad skip
  total=$(sed -n 's/.*tests failed out of \([0-9]*\)$/\1/p' "$log")
  bad=$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of.*/\1/p' "$log")
  skip=$(grep -c '\*\*\*Skipped' "$log" || true)
  if [ -z "$total" ] || [ "$total" = 0 ]; then
    echo "no unit test ran in $1"
    failed=$((failed + 1))
    return
  fi
  passed=$((passed + total - bad - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

# Runs the fuzz targets for a little and adds up what they did.
run_fuzz() {
  local log="$out/fuzz.log" counts p f
  python3 tests/fuzz/run.py --build "$out/fuzz" | tee "$log" || true
  counts=$(sed -n 's/^fuzz: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
  if [ -z "$counts" ] || [ "$counts" = "0 0" ]; then
    echo "the fuzz targets did not run to their end"
    counts="0 1"
  fi
  read -r p f <<<"$counts"
  passed=$((passed + p)) failed=$((failed + f))
}

# Runs the end-to-end tests with the plugins of a build and a source, so many test cases at a time,
# all of them or as further arguments say, and adds up what they did.
run_e2e() {
  local log="$out/e2e-$1-$2.log" counts p f s
  python3 tests/e2e/run.py --plugins "$out/$1" --source "$2" --jobs "$3" "${@:4}" | tee "$log" ||
    true
  counts=$(sed -n 's/^e2e: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log")
  if [ -z "$counts" ] || [ "$counts" = "0 0 0" ]; then
    echo "the end-to-end tests of $1 with $2 did not run to their end"
    counts="0 1 0"
  fi
  read -r p f s <<<"$counts"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# What begins, and when, as the whole is to stay below 20 minutes.
phase() {
  echo "== $1 (after $SECONDS s)"
}

phase "build"
cmake -S . -B "$out/release" -DDENET_BPF=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo
cmake --build "$out/release" -j "$(nproc)"
phase "unit tests"
run_ctest release

phase "unit tests with sanitizers"
cmake -S . -B "$out/sanitized" -DDENET_BPF=ON -DCMAKE_BUILD_TYPE=Debug \
  -DDENET_SANITIZE=address,undefined
cmake --build "$out/sanitized" -j "$(nproc)"
run_ctest sanitized
phase "plugins with the thread sanitizer"
cmake -S . -B "$out/threads" -DDENET_BPF=ON -DDENET_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug \
  -DDENET_SANITIZE=thread
cmake --build "$out/threads" -j "$(nproc)"

phase "static analysis, as far as it is quick"
if tests/analyse.sh gcc cppcheck; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

phase "fuzz targets"
run_fuzz

# Most of a test is waiting; those that measure are run one after the other.
phase "end to end, under collectd, with /proc"
run_e2e release procfs 4
phase "end to end, under collectd, with BPF"
run_e2e release bpf 4
phase "end to end, address and undefined sanitizers, with /proc"
run_e2e sanitized procfs 6 --heard
# Those in which threads have to do with each other most; the others are run before a release.
phase "end to end, thread sanitizer, with BPF"
run_e2e threads bpf 6 --heard test_bpf test_files test_held test_kill test_start_stop \
  test_writer

echo "after $SECONDS s:"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
