"""The build where there is nothing to make BPF with, and what such a denet says."""

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
    """Every command of this machine but for what BPF needs."""
    for place in FOLDERS:
        for name in os.listdir(place):
            if not name.startswith(HIDDEN) and not (folder / name).is_symlink():
                (folder / name).symlink_to(Path(place, name))


def link_packages(folder):
    """Every package that pkg-config knows but libbpf."""
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

    def run_cmake(self, *arguments, environment=None):
        return subprocess.run(["cmake", *arguments], env=environment or self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def configure(self, bpf):
        build = tempfile.mkdtemp(prefix="build-", dir=work_folder())
        os.chmod(build, 0o755)
        return build, self.run_cmake("-S", str(PROJECT), "-B", build, f"-DDENET_BPF={bpf}",
                                     "-DDENET_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug", *self.hide)

    def built(self, bpf):
        build, configured = self.configure(bpf)
        self.assertEqual(configured.returncode, 0, configured.stdout)
        done = self.run_cmake("--build", build, "-j", str(os.cpu_count()))
        self.assertEqual(done.returncode, 0, done.stdout)
        return build

    def check_built(self, bpf):
        build = self.built(bpf)
        libraries = subprocess.run(["ldd", f"{build}/denet.so"], capture_output=True, text=True,
                                   check=True).stdout
        self.assertNotIn("libbpf", libraries)
        self.enterContext(mock.patch.dict(os.environ, DENET_PLUGINS=build))
        with self.subTest(source="bpf"):
            collectd = Collectd('Source "bpf"\n' + rule("me", 'Comm "collectd"'))
            self.assertNotEqual(collectd.run_once(), 0)
            told = [line for line in collectd.complaints() if "built without BPF" in line]
            self.assertEqual(len(told), 1, collectd.log())
            self.assertIn("[error]", told[0])
        with self.subTest(source="auto"):
            collectd = Collectd('Source "auto"\n' + rule("me", 'Comm "collectd"'))
            self.assertEqual(collectd.run_once(), 0)
            self.assertEqual(collectd.complaints(), [])
            told = [line for line in collectd.log() if "built without BPF" in line]
            self.assertEqual(len(told), 1, collectd.log())
            self.assertIn("[info]", told[0])

    def test_off_builds_and_says_that_it_has_no_bpf(self):
        self.check_built("OFF")

    def test_auto_builds_and_says_that_it_has_no_bpf(self):
        self.check_built("AUTO")

    def test_on_is_refused_and_says_what_it_needs(self):
        _, configured = self.configure("ON")
        self.assertNotEqual(configured.returncode, 0)
        for word in (*HIDDEN, "libbpf"):
            self.assertIn(word, configured.stdout)
