#!/bin/bash
# Installs what tests need and this machine lacks, on Debian, as root: install.sh SET...
set -euo pipefail

# The packages of a set: of what tests/run.sh runs; of the other steps of tests/release.sh; of guests
# with other kernels (tests/kernels/run.sh), and of those with arm64.
packages_of() {
  case $1 in
  run)
    echo build-essential cmake pkg-config collectd-core collectd-dev libyajl-dev libtre-dev check \
      clang libclang-rt-dev libbpf-dev libdw-dev bpftool strace python3 procps util-linux iproute2 \
      cppcheck libc6-dbg
    ;;
  release) echo clang-tidy gcovr libbpf-tools debootstrap ;;
  kernels) echo qemu-system-x86 qemu-system-arm kmod cpio e2fsprogs xz-utils ;;
  arm64) echo gcc-aarch64-linux-gnu g++-aarch64-linux-gnu ;;
  *)
    echo "install.sh: there is no set \"$1\"" >&2
    return 1
    ;;
  esac
}

missing=()
for set in "$@"; do
  packages=$(packages_of "$set")
  for package in $packages; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      missing+=("$package")
  done
done
if [ ${#missing[@]} != 0 ]; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
