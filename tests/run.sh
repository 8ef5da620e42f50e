#!/bin/bash
# Builds denet and runs every test, on a bare Debian 12 too: installs what it needs. As root.
# The last line says "N passed, N failed, N skipped"; the exit status is 0 if none failed.
#
# End-to-end tests mostly wait. So compilers, analysers and fuzzers run beside those that may share
# the machine, at idle priority; those that measure (harness.alone) come last, on a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}
mkdir -p "$out"

tests/install.sh run
passed=0 failed=0 skipped=0

# Prints what begins and when.
phase() {
  echo "== $1 (after $SECONDS s)"
}

# build NAME OPTION...: configures and compiles the folder NAME.
build() {
  cmake -S . -B "$out/$1" -DDENET_BPF=ON "${@:2}"
  cmake --build "$out/$1" -j "$(nproc)"
}

# begin NAME COMMAND...: starts a command in the background, in a process group of its own, with its
# output in NAME.log.
declare -A pid_of
begin() {
  set -m
  "${@:2}" >"$out/$1.log" 2>&1 </dev/null &
  set +m
  pid_of[$1]=$!
}
trap 'for pid in "${pid_of[@]}"; do kill -- "-$pid" 2>/dev/null || true; done' EXIT

# finish NAME: waits for it, and prints its output. Returns its status.
finish() {
  local status=0
  wait "${pid_of[$1]}" || status=$?
  cat "$out/$1.log"
  unset "pid_of[$1]"
  return "$status"
}

# idle COMMAND...: runs it with what others leave of the CPUs.
idle() {
  chrt --idle 0 nice -n 19 "$@"
}

# count NAME WORD: adds what NAME.log says in its last line "WORD: N passed, N failed, N skipped". A
# log without it, or in which nothing ran, is a failure.
count() {
  local line p=0 f=0 k=0 pattern='([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$'
  line=$(grep "^$2: " "$out/$1.log" | tail -1 || true)
  if [[ "$line" =~ $pattern ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} k=${BASH_REMATCH[4]:-0}
  fi
  if [ $((p + f + k)) = 0 ]; then
    echo "$1: nothing ran, or not to the end"
    f=1
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + k))
}

# run_ctest BUILD: runs the unit tests of a build.
run_ctest() {
  local log="$out/ctest-$1.log" total bad skip
  ctest --test-dir "$out/$1" -j "$(nproc)" --output-on-failure --timeout 300 2>&1 | tee "$log" || true
  total=$(sed -n 's/.*tests failed out of \([0-9]*\)$/\1/p' "$log")
  bad=$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of.*/\1/p' "$log")
  skip=$(grep -c '\*\*\*Skipped' "$log" || true)
  echo "unit: $((${total:-0} - ${bad:-0} - skip)) passed, ${bad:-0} failed, $skip skipped" >>"$log"
  count "ctest-$1" unit
}

# e2e BUILD SOURCE PART ARGUMENT...: runs end-to-end tests, in the background with begin.
e2e() {
  python3 tests/e2e/run.py --plugins "$out/$1" --source "$2" --part "$3" --locks "$out/locks" \
    "${@:4}"
}

# finish_e2e NAME...: waits for end-to-end tests and counts them.
finish_e2e() {
  local name
  for name in "$@"; do
    finish "$name" || true
    count "$name" e2e
  done
}

# The tests in which threads have to do with each other most. Others may be run before a release.
of_threads="test_bpf test_files test_held test_kill test_start_stop test_writer"

# What needs CPUs and no quiet machine.
compile_others() {
  build sanitized -DCMAKE_BUILD_TYPE=Debug -DDENET_SANITIZE=address,undefined
  build threads -DDENET_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug -DDENET_SANITIZE=thread
}

analyse_and_fuzz() {
  local status=0
  tests/analyse.sh gcc cppcheck || status=1
  echo "analysis: $((1 - status)) passed, $status failed"
  python3 tests/fuzz/run.py --seconds 5 --build "$out/fuzz" || true
}
export -f build compile_others analyse_and_fuzz
export out

rm -rf "$out/locks"
phase "build"
build release -DCMAKE_BUILD_TYPE=RelWithDebInfo
begin compile_others idle bash -euo pipefail -c compile_others
phase "unit tests"
run_ctest release
phase "end to end, under collectd, with /proc and with BPF"
begin shared-procfs e2e release procfs shared --jobs 3
begin shared-bpf e2e release bpf shared --jobs 3
finish compile_others || failed=$((failed + 1))
begin analyse_and_fuzz idle bash -euo pipefail -c analyse_and_fuzz
finish_e2e shared-procfs shared-bpf
phase "end to end, sanitizers: address and undefined with /proc, threads with BPF"
begin sanitized-procfs e2e sanitized procfs shared --jobs 4 --no-reports
begin threads-bpf e2e threads bpf shared --jobs 4 --no-reports $of_threads
finish_e2e sanitized-procfs threads-bpf
phase "unit tests with sanitizers"
run_ctest sanitized
phase "static analysis, as far as it is quick, and fuzz targets"
finish analyse_and_fuzz
count analyse_and_fuzz analysis
count analyse_and_fuzz fuzz
phase "another kernel"
begin kernels env DENET_TEST_PLUGINS="$(realpath "$out/release")" tests/kernels/run.sh 6.1
finish kernels || true
count kernels kernels
phase "end to end, on a quiet machine"
for build in "release procfs" "release bpf" "sanitized procfs --no-reports" \
             "threads bpf --no-reports $of_threads"; do
  read -r folder source arguments <<<"$build"
  begin "alone-$folder-$source" e2e "$folder" "$source" alone $arguments
  finish_e2e "alone-$folder-$source"
done

echo "after $SECONDS s:"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
