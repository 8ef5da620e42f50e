#!/bin/bash
# debian.sh RELEASE COMMAND [ARGUMENT]...: runs a command in a bare Debian of that release (such as
# trixie), in a copy of the tree, with a tmpfs as /tmp. As root; needs debootstrap.
#
# The root file system and the packages come from the mirror that apt is set up with. They are kept
# in $DENET_TEST_CACHE. Processes, the network and the kernel are the host's. All mounts are in a
# mount namespace, which ends with the command. The exit status is the command's.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${DENET_TEST_CACHE:-/var/cache/denet-tests}
release=${1:?usage: debian.sh RELEASE COMMAND [ARGUMENT]...}
shift
base=$cache/debian-$release.tar
mkdir -p "$cache"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/denet-debian-XXXXXX")
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$root"

if [ ! -e "$base" ]; then
  # shellcheck disable=SC2016 # apt-get expands it
  mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -1)
  debootstrap --variant=minbase "$release" "$root" "$mirror" >"$work/log" || {
    tail -5 "$work/log"
    exit 1
  }
  tar -C "$root" -cf "$base.new" .
  mv "$base.new" "$base"
else
  tar -C "$root" -xf "$base"
fi

# The host's own settings of apt, such as a proxy. What removes packages after their installation stays.
for file in /etc/apt/apt.conf.d/*; do
  grep -q -i proxy "$file" && cp "$file" "$root/etc/apt/apt.conf.d/"
done
mkdir -p "$root/denet" "$root/var/cache/denet-tests" "$cache/debian-$release-packages"
git ls-files -z | tar --null -T - -cf - | tar -C "$root/denet" -xf -

# The new root is that of the mount namespace: in a chroot(2) the kernel's paths of files are others.
mount_and_run() {
  mount --make-rprivate /
  mount --bind "$root" "$root"
  for folder in proc sys dev; do
    mount --rbind "/$folder" "$root/$folder"
  done
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount --bind "$packages" "$root/var/cache/apt/archives"
  mount --bind "$cache" "$root/var/cache/denet-tests"
  rm -f "$root/etc/apt/apt.conf.d/docker-clean"
  cd "$root"
  mkdir -p mnt/host
  pivot_root . mnt/host
  umount -l /mnt/host
  cd /denet
  unset DENET_TEST_CACHE
  exec "$@"
}
export -f mount_and_run
export root cache packages="$cache/debian-$release-packages"
unshare --mount bash -euo pipefail -c 'mount_and_run "$@"' bash "$@"
