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


def link_all(places, hidden):
    """Returns a folder with links to all files of the places, except those whose names begin so."""
    folder = Path(tempfile.mkdtemp(dir=work_folder()))
    for path in (path for place in filter(os.path.isdir, places) for path in Path(place).iterdir()):
        if not path.name.startswith(hidden) and not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path)
    return str(folder)


@procfs_only
@unittest.skipUnless(shutil.which("cmake"), "needs cmake")
class WithoutClangBpftoolAndLibbpf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        packages = subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"],
                                  capture_output=True, text=True, check=True).stdout.strip()
        cls.environment = {**os.environ, "PATH": link_all(FOLDERS, HIDDEN),
                           "PKG_CONFIG_LIBDIR": link_all(packages.split(":"), ("libbpf.pc",))}
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
