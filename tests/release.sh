#!/bin/bash
# Runs everything that is tested before a release, which takes some hours: release.sh [STEP]...
# As root, on a machine that does nothing else; installs what the steps need. Without arguments all
# steps run, in this order; a step that fails does not end the others. Each step's output is in
# build/tests/release-STEP.log.
# The last line says "N passed, N failed" of the steps; the exit status is 0 if none failed.
#
# DENET_RELEASE_FUZZ_SECONDS (600, for each target) and DENET_RELEASE_SOAK_MINUTES (10) shorten it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
out=${DENET_TEST_BUILD:-build/tests}
export DENET_REQUIRE_BPF=1
mkdir -p "$out"

e2e() {
  python3 tests/e2e/run.py --plugins "$out/$1" --source "$2" --jobs 3
}

bench() {
  python3 "tests/bench/$1.py" --plugins "$out/release" "${@:2}"
}

# The steps, by name: the command of each. All others need the builds of the first.
step() {
  case $1 in
  tests) tests/run.sh ;;
  analysis) tests/analyse.sh ;;
  coverage) tests/coverage.sh ;;
  e2e-sanitized-procfs) e2e sanitized procfs ;;
  e2e-sanitized-bpf) e2e sanitized bpf ;;
  e2e-threads-procfs) e2e threads procfs ;;
  e2e-threads-bpf) e2e threads bpf ;;
  kernels) tests/kernels/run.sh ;;
  debian-13) tests/debian.sh trixie env DENET_TEST_BUILD=/var/tmp/tests tests/run.sh ;;
  fuzz) python3 tests/fuzz/run.py --seconds "${DENET_RELEASE_FUZZ_SECONDS:-600}" --build "$out/fuzz" ;;
  bench-tick) bench tick ;;
  bench-tick-procfs) bench tick --source procfs ;;
  bench-spawn) bench spawn ;;
  bench-switch) bench switch ;;
  bench-writer) bench writer ;;
  soak) python3 tests/soak.py --plugins "$out/release" --minutes "${DENET_RELEASE_SOAK_MINUTES:-10}" ;;
  *)
    echo "there is no step \"$1\"; steps: ${steps[*]}" >&2
    return 2
    ;;
  esac
}

mapfile -t steps < <(declare -f step | grep -o '^ *[a-z0-9-]*)$' | tr -d ' )')
[ $# != 0 ] || set -- "${steps[@]}"
tests/install.sh run release || exit
passed=0 failed=0
for name in "$@"; do
  begin=$SECONDS
  if step "$name" >"$out/release-$name.log" 2>&1 </dev/null; then
    verdict=ok passed=$((passed + 1))
  else
    verdict=FAIL failed=$((failed + 1))
  fi
  printf '%-4s %-22s %6d s  %s\n' "$verdict" "$name" $((SECONDS - begin)) \
    "$(tail -1 "$out/release-$name.log")"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
