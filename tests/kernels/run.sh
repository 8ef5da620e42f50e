#!/bin/bash
# Boots other kernels and runs tests there, under both sources: run.sh [KERNEL...], as root. Without a
# KERNEL it boots all of the table below. It uses qemu without hardware help. If DENET_TEST_PLUGINS
# is a folder with plugins for this machine, these are tested, else a new build.
#
# Packages come from the mirror that apt is set up with, each time the newest. They and what is made of
# them are kept in DENET_TEST_CACHE (default /var/cache/denet-tests).
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
names=(6.1 5.10 6.12)
declare -A kernels=(
  [5.10]="bullseye amd64 linux-image-cloud-amd64 $release"
  [6.1]="bookworm amd64 linux-image-cloud-amd64 $release"
  [6.12]="bookworm amd64 linux-image-6.12-cloud-amd64 $release"
)
of_guest=(base-files bash busybox-static coreutils grep libc-bin mount procps sed util-linux
          collectd-core libbpf1 libdw1 libstdc++6 libtre5 libyajl2 python3)
most_seconds=900 # a guest that takes longer is ended, which is a failure
passed=0 failed=0 skipped=0

# build OUT: builds what a guest runs, in the folder OUT.
build() {
  if [ -n "${DENET_TEST_PLUGINS:-}" ]; then
    mkdir -p "$1/plugins"
    cp "$DENET_TEST_PLUGINS"/{denet,write_denet}.so "$1/plugins"
  fi
  tests/kernels/build.sh "$1"
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
  timeout "$most_seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
    -nographic -no-reboot -nic none -kernel "$kernel/vmlinuz" -initrd "$work/initramfs.cpio" \
    -drive "file=$image,format=raw,if=virtio,snapshot=on" \
    -append "console=ttyS0 panic=-1 loglevel=3 DENET_TEST_NAMES=\"${DENET_TEST_NAMES:-}\"" </dev/null
}

# test_on KERNEL: prepares a guest, and runs its tests.
test_on() {
  local of_kernel architecture package space out
  read -r of_kernel architecture package space <<<"${kernels[$1]}"
  out=$work/$space-$architecture
  fetch_kernel "$of_kernel" "$architecture" "$package"
  make_root "$space" "$architecture" guest "${of_guest[@]}"
  make_image
  build "$out" >"$work/build.log" 2>&1 || { cat "$work/build.log" && return 1; }
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

install qemu-system-x86_64=qemu-system-x86 depmod=kmod cpio=cpio mke2fs=e2fsprogs xz=xz-utils
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
