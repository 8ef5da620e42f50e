#!/bin/bash
# Static analysis: gcc -fanalyzer and clang-tidy (.clang-tidy) of core/ and plugin/, cppcheck of
# those and the unit tests. analyse.sh [gcc|tidy|cppcheck]...: those alone. The exit status is 0 if
# none of them found anything. Needs what the tests need, and Debian's clang-tidy and cppcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}/analysed
mkdir -p "$out"
findings="$out/findings"

# What gcc's analyser gets wrong: a pattern, and why.
gcc_is_wrong() {
  cat <<'PATTERNS'
/(blocked_stacks|lifecycle)\.c:.* leak of   tsearch(3) keeps what it is given to look at
/(dso|option|retention|rule)\.c:.* leak of  forgets what is put where a pointer of another type leads
/(profiler|loader)\.c:.* leak of .<unk      likewise
/procfs\.c:.* leak of .procfs.              its first member is handed out, with the function that frees
PATTERNS
}

# gcc 12 follows the attribute cleanup, so leaks are its part. An optimizer would take some of them
# out before it looks.
analyse_gcc() {
  cmake -S . -B "$out/gcc" -DDENET_BPF=ON -DDENET_TESTS=OFF -DDENET_WERROR=OFF \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-fanalyzer >"$out/gcc.log"
  cmake --build "$out/gcc" --clean-first -j "$(nproc)" >>"$out/gcc.log" 2>&1 ||
    grep -E "error|Error" "$out/gcc.log" >"$findings"
  gcc_is_wrong | sed 's/   .*//' >"$out/gcc.wrong"
  grep 'warning:' "$out/gcc.log" | grep -E -v -f "$out/gcc.wrong" >>"$findings" || true
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
}

# Off: what the attribute cleanup does is unknown to it (memleak, unreadVariable); a variable may be
# declared at the top of its function (variableScope); an empty loop says "continue"
# (redundantContinue); the columns of tests' tables and the heads of lists are used by macros
# (unusedStructMember); __VA_OPT__ is unknown to it (syntaxError).
analyse_cppcheck() {
  configure
  cppcheck --quiet -j "$(nproc)" --project="$out/build/compile_commands.json" \
    -i "$PWD/tests/chains" -i tests/chains \
    --enable=warning,performance,portability,style --inline-suppr \
    '-DLIBBPF_OPTS(type,name,...)=struct type name = {0}' \
    '-DSTAILQ_FOREACH(at,head,field)=while ((at) = (head)->stqh_first)' --suppress=memleak \
    --suppress=unreadVariable --suppress=variableScope --suppress=redundantContinue \
    --suppress=unusedStructMember --suppress='syntaxError:*tests/unit/model/process_table*.c' \
    --template='{file}:{line}: {severity}: {message} [{id}]' 2>"$findings"
}

[ $# != 0 ] || set -- gcc tidy cppcheck
found=0
for tool in "$@"; do
  echo "== $tool"
  : >"$findings"
  "analyse_$tool"
  [ ! -s "$findings" ] || found=1
  sort -u "$findings"
done
exit "$found"
