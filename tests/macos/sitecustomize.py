"""What macOS has: no /proc, and none of the names that Python has on Linux only.

Read by every Python that hbtrack starts; the scripts' parent, which reads no such file, is run by
it (`python`, beside).
"""

import fcntl
import os
import resource
import runpy
import select
import signal
import socket
import sys

LACKING = {
    os: "pidfd_open waitid P_ALL P_PID sched_getaffinity sched_setaffinity eventfd memfd_create"
    " posix_fadvise posix_fallocate fdatasync pipe2 getrandom copy_file_range splice O_PATH",
    signal: "pidfd_send_signal sigwaitinfo sigtimedwait",
    socket: "MSG_CMSG_CLOEXEC SOCK_CLOEXEC",
    select: "epoll",
    resource: "prlimit",
    fcntl: "F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW",
}
for module, names in LACKING.items():
    for name in names.split():
        vars(module).pop(name, None)


def hide(event, arguments):
    looks = event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc")
    if looks and not sys._getframe(1).f_globals["__name__"].startswith("psutil"):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


sys.addaudithook(hide)
if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from hbtrack.executors import processes

    processes.LINUX = False
    sys.executable = __file__.replace("sitecustomize.py", "python")
