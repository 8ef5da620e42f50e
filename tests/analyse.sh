#!/bin/bash
# Static analysis: gcc -fanalyzer and clang-tidy (.clang-tidy) of core/ and plugin/, cppcheck of
# those and the unit tests. analyse.sh [gcc|tidy|cppcheck]...: only these. The exit status is 0 if
# nothing was found. Needs what the tests need, and Debian's clang-tidy and cppcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}/analysed
mkdir -p "$out"
findings="$out/findings"

# False findings of gcc's analyser: a pattern and the reason.
gcc_is_wrong() {
  cat <<'PATTERNS'
/blocked_stacks\.c:.* leak of   tsearch(3) keeps its argument
/(dso|lifecycle|option|rule)\.c:.* leak of  loses what is stored through a pointer of another type
/(profiler|loader|unwinder)\.c:.* leak of .<unk   likewise
/procfs\.c:.* leak of .procfs.              the caller gets its first member, with the function that frees it
PATTERNS
}

# gcc 12 understands the attribute cleanup, so it is the one to find leaks. Without optimization, which
# would remove some of them first.
analyse_gcc() {
  cmake -S . -B "$out/gcc" -DDENET_BPF=ON -DDENET_TESTS=OFF -DDENET_WERROR=OFF \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-fanalyzer >"$out/gcc.log"
  cmake --build "$out/gcc" --clean-first -j "$(nproc)" >>"$out/gcc.log" 2>&1 ||
    grep -E "error|Error" "$out/gcc.log" >"$findings"
  gcc_is_wrong | sed 's/  .*//' >"$out/gcc.wrong"
  grep 'warning:' "$out/gcc.log" | grep -E -v -f "$out/gcc.wrong" >>"$findings" || true
}

# The others need compile_commands.json and the generated headers.
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

# Off: it does not know the attribute cleanup (memleak, unreadVariable); a variable may be declared at
# the top of its function (variableScope); an empty loop says "continue" (redundantContinue); columns
# of tests' tables and heads of lists are used by macros (unusedStructMember).
analyse_cppcheck() {
  configure
  cppcheck --quiet -j "$(nproc)" --project="$out/build/compile_commands.json" \
    -i "$PWD/tests/chains" -i tests/chains \
    --enable=warning,performance,portability,style --inline-suppr \
    '-DLIBBPF_OPTS(type,name,...)=struct type name = {0}' \
    '-DSTAILQ_FOREACH(at,head,field)=while ((at) = (head)->stqh_first)' --suppress=memleak \
    --suppress=unreadVariable --suppress=variableScope --suppress=redundantContinue \
    --suppress=unusedStructMember \
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
