#!/bin/bash
# Static analysis: gcc -fanalyzer and clang-tidy (.clang-tidy) of core/ and plugin/, cppcheck of
# those and the unit tests. analyse.sh [gcc|tidy|cppcheck]...: only these. Needs what the tests need,
# and Debian's clang-tidy and cppcheck.
#
# The exit status is 0 if nothing was found. This is so with the analysers of Debian 12 and 13
# (is_supported). Findings of another version are printed, and are no failure.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${DENET_TEST_BUILD:-build/tests}/analysed
mkdir -p "$out"
findings="$out/findings"

# is_supported TOOL: whether the code must be free of findings of the version that is installed.
is_supported() {
  local version
  case $1 in
  gcc) version=$(cc -dumpversion) ;;
  tidy) version=$(clang-tidy --version | sed -n 's/.*LLVM version \([0-9]*\).*/\1/p') ;;
  cppcheck) version=$(cppcheck --version | sed 's/.* //') ;;
  esac
  case "$1 $version" in
  "gcc 12" | "gcc 14" | "tidy 14" | "tidy 19" | "cppcheck 2.10" | "cppcheck 2.17"*) ;;
  *)
    echo "not supported: $1 $version; its findings are no failure"
    return 1
    ;;
  esac
}

# False findings of gcc's analyser: a pattern and the reason.
gcc_is_wrong() {
  cat <<'PATTERNS'
/blocked_stacks\.c:.* leak of   tsearch(3) keeps its argument
/(dso|lifecycle|option|rule)\.c:.* leak of  loses what is stored through a pointer of another type
/(profiler|loader|unwinder)\.c:.* leak of .<unk   likewise
/procfs\.c:.* leak of .procfs.              the caller gets its first member, with the function that frees it
PATTERNS
}

# gcc understands the attribute cleanup, so it is the one to find leaks. Without optimization, which
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

# A check that is off (ID, or ID:FILE), and the reason.
cppcheck_is_off() {
  cat <<'CHECKS'
memleak                                     the attribute cleanup frees it
unreadVariable                              the attribute cleanup reads it
constVariablePointer                        the attribute cleanup frees what it points to
constParameterPointer                       the function changes what pointers of the structure lead to
constParameterCallback                      the type of the callback has it so
variableScope                               a variable may be declared at the top of its function
redundantContinue                           an empty loop says "continue"
duplicateCondition                          a function is called between the two, which changes it
unusedStructMember                          macros use columns of tests' tables and heads of lists
normalCheckLevelMaxBranches                 says only that the analysis has limits
deallocuse:*/tests/*                        reports an fclose() in a macro of check
nullPointerArithmeticOutOfMemory:*/tests/*  memory suffices; a null pointer would end the test
CHECKS
}

analyse_cppcheck() {
  configure
  cppcheck_is_off | sed 's/  .*//' >"$out/cppcheck.off"
  cppcheck --quiet -j "$(nproc)" --project="$out/build/compile_commands.json" \
    -i "$PWD/tests/chains" -i tests/chains \
    --enable=warning,performance,portability,style --inline-suppr \
    '-DLIBBPF_OPTS(type,name,...)=struct type name = {0}' \
    '-DSTAILQ_FOREACH(at,head,field)=while ((at) = (head)->stqh_first)' \
    --suppressions-list="$out/cppcheck.off" \
    --template='{file}:{line}: {severity}: {message} [{id}]' 2>"$findings"
}

[ $# != 0 ] || set -- gcc tidy cppcheck
found=0
for tool in "$@"; do
  echo "== $tool"
  : >"$findings"
  "analyse_$tool"
  sort -u "$findings"
  [ ! -s "$findings" ] || ! is_supported "$tool" || found=1
done
exit "$found"
