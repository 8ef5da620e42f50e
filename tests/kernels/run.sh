#!/bin/bash
# Boots other kernels and runs tests there, under both sources: run.sh [KERNEL...], as root. Without
# a KERNEL it boots all of the table below. It uses qemu without hardware help. If
# DENET_TEST_PLUGINS is a folder with plugins for this machine, these are tested, else a new build.
#
# Packages come from the mirror that apt is set up with, each time the newest. They and what is made
# of them are kept in DENET_TEST_CACHE (default /var/cache/denet-tests).
# DENET_TEST_NAMES are names of tests to run in place of all, such as "test_kernels.Threads".
# The last line says "kernels: N passed, N failed, N skipped"; the exit status is 0 if none failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${DENET_TEST_CACHE:-/var/cache/denet-tests}
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
work=$(mktemp -d -t denet-kernels-XXXXXX)
trap 'rm -rf "$work"' EXIT
. tests/kernels/packages.sh

# A kernel: its release, architecture and package, and the release of the user space.
names=(6.1 5.10 6.12 debian-13 arm64)
declare -A kernels=(
  [5.10]="bullseye amd64 linux-image-cloud-amd64 $release"
  [6.1]="bookworm amd64 linux-image-cloud-amd64 $release"
  [6.12]="bookworm amd64 linux-image-6.12-cloud-amd64 $release"
  [debian-13]="trixie amd64 linux-image-cloud-amd64 trixie"
  [arm64]="$release arm64 linux-image-cloud-arm64 $release"
)
of_guest=(base-files bash busybox-static coreutils dash grep libc-bin mount procps sed util-linux
          collectd-core libbpf1 libdw1 libstdc++6 libtre5 libyajl2 python3)
libraries=(collectd-dev libbpf-dev libc6-dev libdw-dev liblzma-dev libtre-dev libyajl-dev)
of_build=(base-files bash bpftool clang cmake coreutils dash g++ gcc grep make pkgconf sed
          "${libraries[@]}")
most_seconds=900 # a guest that takes longer is ended, which is a failure
passed=0 failed=0 skipped=0

# build_here OUT, build_in_root OUT, cross_build OUT: build what a guest runs, in the folder OUT:
# for this machine; in a root file system of another release; for arm64.
build_here() {
  if [ -n "${DENET_TEST_PLUGINS:-}" ]; then
    mkdir -p "$1/plugins"
    cp "$DENET_TEST_PLUGINS"/{denet,write_denet}.so "$1/plugins"
  fi
  tests/kernels/build.sh "$1"
}

build_in_root() {
  make_root "$space" "$architecture" build "${of_build[@]}"
  # shellcheck disable=SC2016
  root=$root out=$1 CC=gcc CXX=g++ unshare --mount sh -ec '
    mount --bind -o ro . "$root/denet"
    mount --bind "$out" "$root/out"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    chroot "$root" /denet/tests/kernels/build.sh /out'
}

cross_build() {
  tests/install.sh arm64
  make_root "$space" arm64 libraries "${libraries[@]}"
  # C_INCLUDE_PATH is for clang, which compiles the programs in the kernel.
  PKG_CONFIG_SYSROOT_DIR=$root C_INCLUDE_PATH=$root/usr/include/aarch64-linux-gnu \
    PKG_CONFIG_LIBDIR=$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig \
    CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ \
    tests/kernels/build.sh "$1" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    "-DCMAKE_SYSROOT=$root" -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER -DDENET_PLUGIN_DIR=/denet
}

# pack OUT: makes the initramfs of a guest, from the kernel's modules, the tests and what was built.
pack() {
  local top=$work/initramfs
  rm -rf "$top"
  mkdir -p "$top"/{bin,denet/tests}
  cp "$root/bin/busybox" "$top/bin"
  cp -r tests/kernels/init "$kernel/modules" "$top"
  cp -r "$1/plugins" "$1/programs" "$top/denet"
  cp -r tests/{e2e,programs,kernels} "$top/denet/tests"
  (cd "$top" && find . | cpio -o -H newc --quiet) >"$work/initramfs.cpio"
}

# boot: runs a guest to its end.
boot() {
  local command=(qemu-system-x86_64 -cpu max) console=ttyS0
  if [ "$architecture" = arm64 ]; then
    command=(qemu-system-aarch64 -machine virt -cpu "max,pauth-impdef=on") console=ttyAMA0
  fi
  timeout "$most_seconds" "${command[@]}" -accel "tcg,thread=multi" -smp 2 -m 2048 -nographic \
    -no-reboot -nic none -kernel "$kernel/vmlinuz" -initrd "$work/initramfs.cpio" \
    -drive "file=$image,format=raw,if=virtio,snapshot=on" \
    -append "console=$console panic=-1 loglevel=3 DENET_TEST_NAMES=\"${DENET_TEST_NAMES:-}\"" \
    </dev/null
}

# test_on KERNEL: prepares a guest, and runs its tests.
test_on() {
  local of_kernel architecture package space out build=build_in_root
  if [ -z "${kernels[$1]:-}" ]; then
    echo "there is no kernel \"$1\"; kernels: ${names[*]}" >&2
    return 1
  fi
  read -r of_kernel architecture package space <<<"${kernels[$1]}"
  out=$work/$space-$architecture
  mkdir -p "$out"
  case $space-$architecture in
    "$release-amd64") build=build_here ;;
    *-arm64) build=cross_build ;;
  esac
  "$build" "$out" >"$work/build.log" 2>&1 || { cat "$work/build.log" && return 1; }
  fetch_kernel "$of_kernel" "$architecture" "$package"
  make_root "$space" "$architecture" guest "${of_guest[@]}"
  make_image
  pack "$out"
  boot | tr -d '\r'
}

# count LOG: adds what a guest says in its last line. A guest that does not say it has failed.
count() {
  local line pattern='^guest: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'
  line=$(grep -a "^guest: " "$1" | tail -1 || true)
  if [[ "$line" =~ $pattern ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
  else
    echo "the guest did not come to its end"
    failed=$((failed + 1))
  fi
}

tests/install.sh kernels
[ $# != 0 ] || set -- "${names[@]}"
for name in "$@"; do
  echo "== $name (after $SECONDS s)"
  set +e # || true would let it go on after an error
  (set -e && test_on "$name") 2>&1 | tee "$work/log"
  set -e
  count "$work/log"
done
echo "kernels: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
