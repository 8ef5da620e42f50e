"""The build without the tools that BPF needs, and the log lines of such a denet."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from harness import PROJECT, Collectd, procfs_only, rule, work_folder

FOLDERS = [folder for folder in dict.fromkeys(
    os.environ.get("PATH", "").split(":") +
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    if os.path.isdir(folder)]
HIDDEN = ("clang", "bpftool")


def link_commands(folder):
    """Links every command of this machine except those that BPF needs."""
    for place in FOLDERS:
        for name in os.listdir(place):
            if not name.startswith(HIDDEN) and not (folder / name).is_symlink():
                (folder / name).symlink_to(Path(place, name))


def link_packages(folder):
    """Links every package of pkg-config except libbpf."""
    places = subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"],
                            capture_output=True, text=True, check=True).stdout.strip()
    for place in filter(os.path.isdir, places.split(":")):
        for path in Path(place).glob("*.pc"):
            if path.name != "libbpf.pc" and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path)


@procfs_only
@unittest.skipUnless(shutil.which("cmake"), "needs cmake")
class WithoutClangBpftoolAndLibbpf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        commands, packages = (Path(tempfile.mkdtemp(dir=work_folder())) for _ in range(2))
        link_commands(commands)
        link_packages(packages)
        cls.environment = {**os.environ, "PATH": str(commands),
                           "PKG_CONFIG_LIBDIR": str(packages)}
        cls.hide = [f"-DCMAKE_IGNORE_PATH={';'.join(FOLDERS)}"]

    def run_cmake(self, *arguments):
        return subprocess.run(["cmake", *arguments], env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def configure(self, bpf):
        build = tempfile.mkdtemp(prefix="build-", dir=work_folder())
        os.chmod(build, 0o755)
        return build, self.run_cmake("-S", str(PROJECT), "-B", build, f"-DDENET_BPF={bpf}",
                                     "-DDENET_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug",
                                     "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *self.hide)

    def log_lines(self, source, status):
        """Lines about BPF in the log of a collectd with that Source, which must end like that."""
        collectd = Collectd(f'Source "{source}"\n' + rule("me", 'Comm "collectd"'))
        self.assertEqual(collectd.run_once() == 0, status == 0)
        lines = [line for line in collectd.log() if "built without BPF" in line]
        self.assertEqual(len(lines), 1, collectd.log())
        return lines[0], collectd.complaints()

    def test_off_and_auto_build_the_same_and_say_that_it_has_no_bpf(self):
        commands = {}
        for bpf in ("OFF", "AUTO"):
            build, configured = self.configure(bpf)
            self.assertEqual(configured.returncode, 0, configured.stdout)
            commands[bpf] = Path(build, "compile_commands.json").read_text().replace(build, "")
        self.assertEqual(commands["OFF"], commands["AUTO"])
        built = self.run_cmake("--build", build, "-j", str(os.cpu_count()))
        self.assertEqual(built.returncode, 0, built.stdout)
        libraries = subprocess.run(["ldd", f"{build}/denet.so"], capture_output=True, text=True,
                                   check=True).stdout
        self.assertNotIn("libbpf", libraries)
        self.enterContext(mock.patch.dict(os.environ, DENET_PLUGINS=build))
        self.assertIn("[error]", self.log_lines("bpf", 1)[0])
        line, complaints = self.log_lines("auto", 0)
        self.assertIn("[info]", line)
        self.assertEqual(complaints, [])

    def test_on_is_refused_and_says_what_it_needs(self):
        _, configured = self.configure("ON")
        self.assertNotEqual(configured.returncode, 0)
        for word in (*HIDDEN, "libbpf"):
            self.assertIn(word, configured.stdout)
