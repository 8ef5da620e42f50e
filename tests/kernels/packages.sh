# shellcheck shell=bash disable=SC2154
# Debian packages of other releases and architectures, and what is made of them. run.sh sources this
# file. The caller sets:
#   cache    the folder in which everything is kept, and
#   work     a folder for temporary files
#   release  the release of this machine
# What is kept is used again as long as the newest packages are those that it was made of.

# mirror RELEASE: prints the address of the repository from which this machine has that release;
# nothing if it has none.
mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "/^$1 /{s///p;q}"
}

# apt RELEASE ARCHITECTURE TOOL ARGUMENT...: runs apt-get or apt-cache (TOOL: get, cache) as on a
# machine of that release on which nothing is installed.
apt() {
  local state=$cache/apt/$1-$2
  "apt-$3" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state" \
    -o APT::Architecture="$2" -o APT::Architectures="$2" -o APT::Install-Recommends=false \
    -o APT::Sandbox::User=root "${@:4}"
}

# update RELEASE ARCHITECTURE: fetches the indexes if they have changed. A mirror that does not
# answer is no failure if they were fetched before.
declare -A is_updated
update() {
  local state=$cache/apt/$1-$2 security
  local signed=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg
  if [ -z "${is_updated[$1-$2]:-}" ]; then
    mkdir -p "$state/archives/partial" "$state/lists/partial"
    touch "$state/status"
    echo "deb [$signed] $(mirror "$release") $1 main" >"$state/sources.list"
    security=$(mirror "$release-security")
    [ -z "$security" ] || echo "deb [$signed] $security $1-security main" >>"$state/sources.list"
    apt "$1" "$2" get -q update >"$work/apt.log" 2>&1 || cat "$work/apt.log"
    is_updated[$1-$2]=yes
  fi
}

# unpack PACKAGE FOLDER: unpacks a package into a root file system in which /lib is a link, as it is
# everywhere, though older packages have files in it.
unpack() {
  dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink
}

# make_root RELEASE ARCHITECTURE NAME PACKAGE...: makes a root file system of packages and what they
# depend on. They are unpacked and not configured. Sets root, its folder.
make_root() {
  local files folder file
  update "$1" "$2"
  files=$(apt "$1" "$2" get -o Dir::Cache::archives="$work" -qq -y --print-uris install "${@:4}" |
    cut -d ' ' -f 2)
  folder=$cache/roots/$1-$2-$3
  root=$folder/$(cat - tests/kernels/packages.sh <<<"$files" | sha256sum | cut -c 1-16)
  if [ ! -d "$root" ]; then
    rm -rf "$folder"
    apt "$1" "$2" get -qq -y --download-only install "${@:4}" >"$work/apt.log" 2>&1 ||
      { cat "$work/apt.log" && return 1; }
    mkdir -p "$root.new"/{denet,out,dev,proc,sys,run,tmp,root,var/tmp,usr/{bin,sbin,lib,lib64}}
    ln -s usr/{bin,sbin,lib,lib64} "$root.new"
    for file in $files; do
      unpack "$cache/apt/$1-$2/archives/$file" "$root.new"
    done
    echo "root:x:0:0::/root:/bin/sh" >"$root.new/etc/passwd"
    echo "root:x:0:" >"$root.new/etc/group"
    apt "$1" "$2" get -qq autoclean
    mv "$root.new" "$root"
  fi
}

# make_image: makes a disk image of the root file system. Sets image, its path.
make_image() {
  image=$root.ext4
  if [ ! -f "$image" ]; then
    # Without what Linux 5.10 lacks.
    mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -d "$root" "$image.new" 2g
    mv "$image.new" "$image"
  fi
}

# fetch_kernel RELEASE ARCHITECTURE PACKAGE: fetches the kernel that the package depends on. Sets
# kernel, a folder with vmlinuz and, named in the order in which they must be loaded, the modules
# that a disk of qemu needs.
fetch_kernel() {
  local name file folder module unpacked=$work/kernel
  update "$1" "$2"
  name=$(apt "$1" "$2" cache depends "$3" | sed -n 's/^ *Depends: \(linux-image-\)/\1/p')
  file=$(apt "$1" "$2" get -qq --print-uris download "$name" | cut -d ' ' -f 2)
  folder=$cache/kernels/$1-$3 kernel=$folder/${file%.deb}
  if [ ! -d "$kernel" ]; then
    rm -rf "$folder"
    mkdir -p "$kernel.new/modules" "$unpacked/usr/lib"
    ln -s usr/lib "$unpacked/lib"
    (cd "$work" && apt "$1" "$2" get -qq download "$name")
    unpack "$work/$file" "$unpacked"
    depmod -b "$unpacked" "${name#linux-image-}"
    cp "$unpacked/boot/vmlinuz-${name#linux-image-}" "$kernel.new/vmlinuz"
    modprobe -d "$unpacked" -S "${name#linux-image-}" --show-depends -a virtio_pci virtio_blk ext4 |
      awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | nl -w 3 -n rz |
      while read -r number module; do
        xz -dcf <"$module" >"$kernel.new/modules/$number.ko"
      done
    rm -rf "$unpacked" "${work:?}/$file"
    mv "$kernel.new" "$kernel"
  fi
}
