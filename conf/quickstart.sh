#!/bin/bash
# Builds denet, runs a private collectd with it in the foreground and shows what it reports.
# For Debian and similar systems, as root. Installs the packages that are missing. Needs no server.
# Leaves nothing behind except those packages and build/.
set -euo pipefail

usage() {
  cat <<'END'
Usage: sudo conf/quickstart.sh [--seconds N] [--keep]

Builds denet in build/, then runs a private collectd in the foreground, in a temporary folder, and
prints what denet reports every two seconds. Ctrl-C stops it and removes the folder.

  --seconds N  stop after N seconds
  --keep       keep the folder: configuration, log and the JSONL files
  --help       this text
END
}

die() {
  printf 'quickstart: %s\n' "$1" >&2
  exit 1
}

interval=2
rows=20
seconds='' keep='' folder='' collectd_pid='' workload_pid=''

while [ $# -gt 0 ]; do
  case $1 in
  --seconds)
    seconds=${2-}
    [[ $seconds =~ ^[1-9][0-9]{0,8}$ ]] || die "--seconds needs a whole number above 0"
    shift
    ;;
  --keep) keep=yes ;;
  --help | -h)
    usage
    exit 0
    ;;
  *)
    usage >&2
    die "unknown argument: $1"
    ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || die "must run as root (try: sudo $0)"
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  die "this is not Debian: there is no apt-get. conf/README.md says how to build elsewhere."
fi
cd "$(dirname "$0")/.."

# --- stop and clean up ----------------------------------------------------------------------------

# Stops a child of this script and waits for it. Its pid is empty if it never ran.
stop() {
  [ -n "$1" ] || return 0
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

clean_up() {
  trap '' INT TERM HUP
  stop "$workload_pid"
  stop "$collectd_pid"
  [ -n "$folder" ] || return 0
  if [ -n "$keep" ]; then
    rm -f "$folder/values"
    echo "Kept: $folder (the JSONL files are in $folder/denet)" >&4
  else
    rm -rf "$folder"
    echo "Stopped; $folder has been removed (--keep keeps it)." >&4
  fi
}
exec 4>&1 # clean_up may run while the output of a build is redirected
trap clean_up EXIT
trap 'exit 0' INT TERM HUP

# --- packages and build ---------------------------------------------------------------------------

packages=(build-essential cmake pkg-config collectd-core collectd-dev libyajl-dev libtre-dev clang
  libbpf-dev libdw-dev bpftool)
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing ${missing[*]} ..."
  apt-get update -q || die "apt-get update failed: is this machine online?"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}"
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/denet-quickstart.XXXXXX")

build() {
  # The tests need more packages. A build folder that exists already keeps its settings.
  local tests=()
  [ -e build/CMakeCache.txt ] || tests=(-DDENET_TESTS=OFF)
  cmake -S . -B build "${tests[@]}" &&
    cmake --build build --target denet write_denet -j "$(nproc)"
}
echo "Building in build/ ..."
built=yes
build >"$folder/build.log" 2>&1 || built=
# The user who called sudo can build there too.
if [ -n "${SUDO_UID-}" ] && [ -d build ]; then
  chown -Rh "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" build
fi
if [ -z "$built" ]; then
  tail -n 30 "$folder/build.log" >&2
  die "the build failed, see above (if build/ is from elsewhere, remove it and try again)"
fi

# --- configuration --------------------------------------------------------------------------------

collectd=$(command -v collectd || echo /usr/sbin/collectd)
stock_plugins=$("$collectd" -h | sed -n 's/^ *Plugin directory *//p')
[ -d "$stock_plugins" ] || die "$collectd -h does not say where its plugins are"

cat >"$folder/collectd.conf" <<END
FQDNLookup false
BaseDir "$folder"
PIDFile "$folder/collectd.pid"
Interval $interval
WriteThreads 1

PluginDir "$stock_plugins"
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File "$folder/collectd.log"
</Plugin>
# Values for the table: to standard error, as rates. (To see all of them, use --keep and run
# collectd -f -C with this file.)
LoadPlugin csv
<Plugin csv>
  DataDir "stderr"
  StoreRates true
</Plugin>

PluginDir "$PWD/build"
LoadPlugin denet
LoadPlugin write_denet
<Plugin denet>
  # Every program on the machine: values, no files. Kernel threads have no executable and do not match.
  <Rule "all">
    Executable "/*"
    Instance "%{exe}"
    Children false
    Records false
  </Rule>
  # A small workload with the processes that it starts, and this collectd.
  <Rule "quickstart-workload">
    PidFile "$folder/workload.pid"
  </Rule>
  <Rule "quickstart-collectd">
    PidFile "$folder/collectd.pid"
    Children false
  </Rule>
</Plugin>
<Plugin write_denet>
  Directory "denet"
</Plugin>
END

# Uses a little CPU time, writes 256 KiB and starts a short child, about twice a second. With the trap,
# bash ends between two commands, so that no child outlives it.
cat >"$folder/workload" <<'END'
trap 'exit 0' TERM
while :; do
  for ((i = 0; i < 50000; i++)); do :; done
  printf '%262144s' x >"$1/data"
  sleep 0.5
done
END

# --- run ------------------------------------------------------------------------------------------

mkfifo "$folder/values"
bash "$folder/workload" "$folder" </dev/null >/dev/null 2>&1 &
workload_pid=$!
echo "$workload_pid" >"$folder/workload.pid"
"$collectd" -f -C "$folder/collectd.conf" </dev/null >/dev/null 2>"$folder/values" &
collectd_pid=$!
# collectd -f does not write its pid file.
echo "$collectd_pid" >"$folder/collectd.pid"
exec 3<"$folder/values"

# Prints a table of one report as the csv plugin wrote it, groups with most CPU use first.
show_table() {
  local now why
  printf -v now '%(%T)T' -1
  [ ! -t 1 ] || printf '\033[H\033[2J'
  # Why the source is not BPF, if it is not.
  why=$(sed -n 's/.*denet plugin: \(.*: sampling through .*\)/\1/p' "$folder/collectd.log")
  why=$why awk -v rows="$rows" -v now="$now" '
    BEGIN { why = ENVIRON["why"] }
    function shown(group, key, scale) {
      if (!((group, key) in value) || value[group, key] ~ /nan/) return "-"
      return sprintf("%.1f", value[group, key] / scale)
    }
    # The sort key. Groups without processes come last.
    function cpu(group) {
      if (value[group, "ps_count.1"] + 0 == 0) return -2
      return (group, "gauge-cpu_percent") in value ? value[group, "gauge-cpu_percent"] + 0 : -1
    }
    # PUTVAL HOST/PLUGIN-GROUP/TYPE interval=I TIME:VALUE[:VALUE]
    $1 == "PUTVAL" {
      parts = split($2, part, "/")
      if (parts < 3 || part[2] !~ /^denet-./) next
      group = substr(part[2], 7)
      if (group == "_self") {
        split($4, field, ":")
        self[part[3]] = field[2]
        next
      }
      if (!(group in seen)) { seen[group] = 1; groups[++count] = group }
      fields = split($4, field, ":")
      for (i = 2; i <= fields; i++)
        value[group, part[3] (fields > 2 ? "." (i - 1) : "")] = field[i]
    }
    END {
      for (i = 2; i <= count; i++) {
        group = groups[i]
        for (j = i - 1; j > 0 && cpu(groups[j]) < cpu(group); j--) groups[j + 1] = groups[j]
        groups[j + 1] = group
      }
      printf "%s  denet: %d processes through %s, %d matched, longest sample took %.1f ms\n",
        now, self["count-processes"], self["gauge-source"] == 2 ? "BPF" : "/proc",
        self["count-matched"], self["duration-tick"] * 1000
      if (why) print why
      format = "%-28.28s %6s %7s %7s %9s %10s %10s %10s %10s\n"
      printf format, "instance", "procs", "CPU %", "max %", "RSS MiB", "disk r", "disk w", "I/O r",
        "I/O w"
      printf format, "", "", "", "", "", "KiB/s", "KiB/s", "KiB/s", "KiB/s"
      for (i = 1; i <= count && i <= rows; i++) {
        group = groups[i]
        printf format, group, value[group, "ps_count.1"] + 0, shown(group, "gauge-cpu_percent", 1),
          shown(group, "gauge-cpu_percent_max", 1), shown(group, "ps_rss", 1048576),
          shown(group, "disk_octets.1", 1024), shown(group, "disk_octets.2", 1024),
          shown(group, "io_octets.1", 1024), shown(group, "io_octets.2", 1024)
      }
      if (count > rows) printf "... and %d more\n", count - rows
    }' <<<"$1"
  show_files
}

# Prints the files with their numbers of lines.
show_files() {
  echo "JSONL files in $folder/denet (lines, name):"
  (cd "$folder/denet" && find . -name '*.jsonl' -exec wc -l {} \;) | sed 's|\./||; s/^/  /'
  echo
}

# Prints the seconds until the script stops. A read waits for at most that long.
SECONDS=0
time_left() { echo $((${seconds:-1000000000} - SECONDS)); }

report='' has_ended=''
while left=$(time_left) && [ "$left" -gt 0 ]; do
  status=0
  IFS= read -r -t "$left" line <&3 || status=$?
  if [ "$status" -gt 128 ]; then
    break # --seconds are over
  elif [ "$status" -gt 0 ]; then
    has_ended=yes # collectd has closed its end of the FIFO
    break
  fi
  report+=$line$'\n'
  # With one write thread this is the last value of each report.
  case $line in
  "PUTVAL "*/denet-_self/gauge-source\ *)
    show_table "$report"
    report=''
    ;;
  esac
done

if [ -n "$has_ended" ]; then
  printf '%s' "$report" | grep -v '^PUTVAL' >&2 || true
  cat "$folder/collectd.log" >&2 2>/dev/null || true
  die "collectd has ended by itself. Its messages are above."
fi
