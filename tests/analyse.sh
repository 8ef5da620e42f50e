#!/bin/bash
# Static analysis: gcc -fanalyzer and clang-tidy (.clang-tidy) of core/ and plugin/, cppcheck of
# those and the unit tests. analyse.sh [gcc|tidy|cppcheck]...: those alone. The exit status is 0 if
# none of them found anything. Needs what the tests need, and Debian's clang-tidy and cppcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}/analysed
mkdir -p "$out"
findings="$out/findings"
found=0

# Says what a tool found, and that it did.
report() {
  [ -s "$findings" ] || return 0
  sort -u "$findings"
  found=1
}

# What gcc's analyser gets wrong: a pattern, and why.
gcc_is_wrong() {
  cat <<'PATTERNS'
core/(blocks|ledger)\.c:.* leak of        tsearch(3) keeps what it is given to look at
core/(image|option|rule)\.c:.* leak of    forgets what is put where a pointer of another type leads
core/profiler\.c:.* leak of .<unknown>    likewise
core/procfs\.c:.* leak of .procfs.        its first member is handed out, with the function that frees
core/budget\.c:.* NULL .slash.            each path has been made with two
PATTERNS
}

# gcc 12 follows cleanup attributes, so leaks are its part.
analyse_gcc() {
  cmake -S . -B "$out/gcc" -DDENET_BPF=ON -DDENET_TESTS=OFF -DDENET_WERROR=OFF \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS=-fanalyzer >"$out/gcc.log"
  cmake --build "$out/gcc" --clean-first -j "$(nproc)" >>"$out/gcc.log" 2>&1 ||
    grep 'error:' "$out/gcc.log" >"$findings" || cat "$out/gcc.log" >"$findings"
  gcc_is_wrong | sed 's/   .*//' >"$out/gcc.wrong"
  grep 'warning:' "$out/gcc.log" | grep -E -v -f "$out/gcc.wrong" >>"$findings" || true
  report
}

# The two others ask how each file is compiled, and need the headers that are made.
configure() {
  cmake -S . -B "$out/build" -DDENET_BPF=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$out/build.log"
  cmake --build "$out/build" --target denet_bpf >>"$out/build.log"
}

analyse_tidy() {
  configure
  find core plugin -name '*.c' ! -name '*_none.c' -print0 |
    xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$out/build" >"$findings" 2>"$out/tidy.log" ||
    [ -s "$findings" ] || cat "$out/tidy.log" >"$findings"
  report
}

# Off: what the attribute cleanup does is unknown to it (memleak, unreadVariable); a variable may be
# declared at the top of its function (variableScope); an empty loop says "continue"
# (redundantContinue); in tests, which tables' columns Check's macros use (unusedStructMember), and
# __VA_OPT__ (syntaxError).
analyse_cppcheck() {
  configure
  cppcheck --quiet -j "$(nproc)" --project="$out/build/compile_commands.json" \
    -i "$PWD/tests/chains" --enable=warning,performance,portability,style --inline-suppr \
    '-DLIBBPF_OPTS(type,name,...)=struct type name = {0}' --suppress=memleak \
    --suppress=unreadVariable --suppress=variableScope --suppress=redundantContinue \
    --suppress='unusedStructMember:*/tests/*' --suppress='syntaxError:*/tests/unit_roster.c' \
    --template='{file}:{line}: {severity}: {message} [{id}]' 2>"$findings"
  report
}

for tool in "${@:-gcc}"; do
  case $tool in gcc | tidy | cppcheck) ;; *) sed -n '2,4s/^# //p' "$0" && exit 2 ;; esac
done
for tool in ${@:-gcc tidy cppcheck}; do
  echo "== $tool"
  analyse_"$tool"
done
[ "$found" = 0 ]
