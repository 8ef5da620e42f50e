/* The names in cgroup paths, as systemd and the runtimes of containers make them. */
#include "core/rules/cgroup_path.h"

#include "core/util/cleanup.h"
#include "tests/unit/settings.h"

#include <string.h>

#define ID "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01"
#define SHOWN "4c01db0b339c"
#define UID "8a9f2f4e-7c1b-4d0a-9e61-0b6a4a1f2c3d"
#define UID_ESCAPED "8a9f2f4e_7c1b_4d0a_9e61_0b6a4a1f2c3d"
#define USER_SLICE "/user.slice/user-1000.slice/user@1000.service"
#define BURSTABLE                                                                                  \
  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ESCAPED ".slice"

/* Further names stand behind a '|'. */
static const struct {
  const char *path, *unit, *user_unit, *container, *pod;
} paths[] = {
    /* systemd */
    {"/system.slice/ssh.service", "ssh.service", "", "", ""},
    {"/system.slice/system-postgresql.slice/postgresql@15-main.service",
     "postgresql@15-main.service", "", "", ""},
    {USER_SLICE "/app.slice", "user@1000.service", "", "", ""},
    {USER_SLICE "/app.slice/cron.service", "user@1000.service|cron.service", "cron.service", "",
     ""},
    {USER_SLICE "/session.slice/a.service/b.scope", "user@1000.service|a.service|b.scope",
     "b.scope", "", ""},
    {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "", ""},
    {"/system.slice/foo.service/workers/a", "foo.service", "", "", ""},
    {"/system.slice/foo.socket", "foo.socket", "", "", ""},
    {"/system.slice/dev-sda2.swap", "dev-sda2.swap", "", "", ""},
    {"/system.slice/-.mount", "-.mount", "", "", ""},
    {"init.scope", "init.scope", "", "", ""},
    {"//a.service//", "a.service", "", "", ""},
    {"/system.slice/_cpu.service", "cpu.service", "", "", ""},
    {"/system.slice/__x.service", "_x.service", "", "", ""},
    {"/system.slice/foo\\x2dbar.service", "foo\\x2dbar.service|foox2dbar.service", "", "", ""},
    {USER_SLICE "/app.slice/app-a\\x2db.scope",
     "user@1000.service|app-a\\x2db.scope|app-ax2db.scope", "app-a\\x2db.scope|app-ax2db.scope", "",
     ""},
    {"", "", "", "", ""},
    {"/", "", "", "", ""},
    {"/.service", "", "", "", ""},
    {"/_.service", "", "", "", ""},
    {"/foo.services", "", "", "", ""},
    {"/system.slice/" ID ".service", ID ".service", "", "", ""},
    /* docker with cgroupfs and with systemd, docker in docker, rootless */
    {"/docker/" ID, "", "", SHOWN "|" ID, ""},
    {"/docker/" ID "/system.slice/cron.service", "", "", SHOWN "|" ID, ""},
    {"/docker/" ID "/docker/5" ID, "", "", SHOWN "|" ID, ""},
    {"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "", SHOWN "|" ID, ""},
    {"/system.slice/docker-" ID ".scope/init.scope", "docker-" ID ".scope", "", SHOWN "|" ID, ""},
    {USER_SLICE "/user.slice/docker-" ID ".scope", "user@1000.service|docker-" ID ".scope",
     "docker-" ID ".scope", SHOWN "|" ID, ""},
    /* podman: root, rootless, in a unit (Quadlet), in a pod; conmon runs on the host */
    {"/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", "", SHOWN "|" ID, ""},
    {USER_SLICE "/user.slice/libpod-" ID ".scope/container",
     "user@1000.service|libpod-" ID ".scope", "libpod-" ID ".scope", SHOWN "|" ID, ""},
    {"/system.slice/web.service/libpod-payload-" ID, "web.service", "", SHOWN "|" ID, ""},
    {"/machine.slice/machine-libpod_pod_" ID ".slice/libpod-" ID ".scope", "libpod-" ID ".scope",
     "", SHOWN "|" ID, SHOWN},
    {"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", "", ""},
    /* Kubernetes: containerd and CRI-O, systemd and cgroupfs, static pods, kind */
    {BURSTABLE "/cri-containerd-" ID ".scope", "cri-containerd-" ID ".scope", "", SHOWN "|" ID,
     UID},
    {BURSTABLE "/crio-" ID ".scope/container", "crio-" ID ".scope", "", SHOWN "|" ID, UID},
    {BURSTABLE "/crio-conmon-" ID ".scope", "crio-conmon-" ID ".scope", "", "", UID},
    {"/kubepods.slice/kubepods-pod" UID_ESCAPED ".slice/docker-" ID ".scope", "docker-" ID ".scope",
     "", SHOWN "|" ID, UID},
    {"/kubepods/besteffort/pod" UID "/" ID, "", "", SHOWN "|" ID, UID},
    {"/kubepods/burstable/pod" UID "/crio-" ID, "", "", SHOWN "|" ID, UID},
    {"/kubepods/pod0123456789abcdef0123456789abcdef/" ID, "", "", SHOWN "|" ID,
     "0123456789abcdef0123456789abcdef"},
    {"/system.slice/containerd.service/kubepods-burstable-pod" UID_ESCAPED
     ".slice:cri-containerd:" ID,
     "containerd.service", "", SHOWN "|" ID, UID},
    {"/docker/" ID "/kubelet/kubepods/pod" UID "/5" ID, "", "", SHOWN "|" ID, ""},
    {"/kubepods/podinfo/" ID, "", "", SHOWN "|" ID, ""},
    /* containerd by nerdctl; LXC, old and new; lxc.monitor runs on the host */
    {"/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", "", SHOWN "|" ID, ""},
    {"/default/" ID, "", "", SHOWN "|" ID, ""},
    {"/lxc.payload.c1/system.slice/cron.service", "", "", "c1", ""},
    {"/lxc.payload/c1", "", "", "c1", ""},
    {"/lxc/101/ns/system.slice/cron.service", "", "", "101", ""},
    {"/lxc.monitor.c1", "", "", "", ""},
    {"/lxc", "", "", "", ""},
    /* systemd-nspawn and machined; a virtual machine is no container */
    {"/machine.slice/systemd-nspawn@c1.service/payload/system.slice/cron.service",
     "systemd-nspawn@c1.service", "", "c1", ""},
    {"/machine.slice/systemd-nspawn@c1.service/supervisor", "systemd-nspawn@c1.service", "", "",
     ""},
    {"/machine.slice/machine-a\\x2db.scope/payload", "machine-a\\x2db.scope|machine-ax2db.scope",
     "", "a-b", ""},
    {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
     "machine-qemu\\x2d1\\x2dvm.scope|machine-qemux2d1x2dvm.scope", "", "", ""},
    /* no ids */
    {"/docker/x" ID, "", "", "", ""},
    {"/docker/4C01DB0B339C4C01DB0B339C4C01DB0B339C4C01DB0B339C4C01DB0B339C4C01", "", "", "", ""},
};

static void expect(const struct denet_buffer *names, const char *expected) {
  struct denet_text text = denet_buffer_text(names);
  ck_assert_uint_eq(text.length, strlen(expected));
  for (size_t i = 0; i <= text.length; i++)
    ck_assert_int_eq(text.bytes[i], expected[i] == '|' ? '\0' : expected[i]);
}

START_TEST(path_has_the_names_of_units_outside_of_the_container_of_container_and_pod) {
  static struct denet_buffer names[DENET_CGROUP_NAMES]; /* used again, as the reader does */
  struct denet_text path = denet_text_of(paths[_i].path);
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(denet_cgroup_path_read(path, names), 0);
  expect(&names[DENET_CGROUP_UNIT], paths[_i].unit);
  expect(&names[DENET_CGROUP_USER_UNIT], paths[_i].user_unit);
  expect(&names[DENET_CGROUP_CONTAINER], paths[_i].container);
  expect(&names[DENET_CGROUP_POD], paths[_i].pod);
  ck_assert_str_eq(denet_buffer_text(&names[DENET_CGROUP_PATH]).bytes, paths[_i].path);
  for (unsigned i = 0; i < DENET_CGROUP_NAMES; i++)
    denet_buffer_done(&names[i]);
}
END_TEST

static const struct {
  const char *name, *unescaped;
} escaped[] = {
    {"foo\\x2dbar.service", "foo-bar.service"},
    {"dev-disk-by\\x2duuid.swap", "dev-disk-by-uuid.swap"},
    {"a\\x5cx2d", "a\\x2d"},
    {"a\\x2", "a\\x2"},
    {"a\\xg0\\", "a\\xg0\\"},
    {"a\\x00b", "a\\x00b"},
    {"", ""},
};

START_TEST(unit_is_unescaped_as_by_systemd_escape) {
  DENET_CLEANUP(denet_buffer_done) struct denet_buffer out = {0};
  ck_assert_int_eq(denet_cgroup_path_unescape(denet_text_of(escaped[_i].name), &out), 0);
  ck_assert_str_eq(denet_buffer_text(&out).bytes, escaped[_i].unescaped);
}
END_TEST

void add_cases(Suite *suite) {
  ADD_TABLE(suite, path_has_the_names_of_units_outside_of_the_container_of_container_and_pod,
            paths);
  ADD_TABLE(suite, unit_is_unescaped_as_by_systemd_escape, escaped);
}
