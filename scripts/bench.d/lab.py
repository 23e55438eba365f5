"""What benchmarks stand on: fresh file systems, and engines started by hand and stopped by process ID."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

FIXTURES = os.environ.get("NACRE_FIXTURES", "/var/tmp/nacre-fixtures")
APP = os.path.join(FIXTURES, "app")
IMAGE = "example/app:1"


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def command(*words, **options):
    """Runs a command that must succeed; its standard output."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError("{} failed with {}:\n{}".format(" ".join(words), done.returncode, done.stderr))
    return done.stdout


def timed(action):
    """Seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def mounts_below(directory):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[4] for line in file]
    return [point for point in reversed(points) if point.startswith(directory + "/") or point == directory]


@contextlib.contextmanager
def fresh_fs(kind="ext4"):
    """A new file system on a sparse file. A used one misleads: creating files soon after a mass delete is slow."""
    directory = tempfile.mkdtemp(prefix="nacre-bench-", dir="/var/tmp")
    image, point = directory + "/image", directory + "/mnt"
    try:
        with open(image, "wb") as file:
            file.truncate(8 << 30)
        os.mkdir(point)
        if kind == "ext4":
            command("mkfs.ext4", "-q", "-E", "nodiscard", image)
            # The inode tables are written when they are needed, not by a thread while something is measured.
            command("mount", "-o", "loop,noinit_itable", image, point)
        else:
            command("mkfs." + kind, "-q", image)
            command("mount", "-o", "loop", image, point)
        command("sync")
        yield point
    finally:
        for mount in mounts_below(point):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def daemon(words, ready, log):
    """A process that runs inside of the block; `ready` is a command that succeeds once it answers."""
    with open(log, "wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        for _ in range(600):
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            if subprocess.run(ready, check=False, **quiet).returncode == 0:
                break
            if process.poll() is not None:
                raise RuntimeError("{} did not start; see {}".format(words[0], log))
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def dockerd(directory, driver="overlay2"):
    """Docker with its data below a directory; yields the beginning of a client's command."""
    socket = "unix://" + directory + "/docker.socket"
    client = ["docker", "-H", socket]
    server = ["dockerd", "--data-root", directory + "/docker", "--exec-root", directory + "/docker-exec"]
    server += ["--pidfile", directory + "/docker.pid", "-H", socket, "--bridge=none", "--iptables=false"]
    server += ["--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--storage-driver", driver]
    with daemon(server, client + ["version"], directory + "/docker.log"):
        yield client


@contextlib.contextmanager
def containerd(directory):
    """containerd with its data below a directory; yields the beginning of a client's command."""
    socket = directory + "/containerd.socket"
    with open(directory + "/containerd.toml", "w", encoding="utf-8") as file:
        file.write('version = 2\nroot = "{0}/containerd"\nstate = "{0}/containerd-state"\n'.format(directory))
        file.write('disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{}"\n'.format(socket))
    client = ["ctr", "--address", socket]
    server = ["containerd", "--config", directory + "/containerd.toml"]
    with daemon(server, client + ["version"], directory + "/containerd.log"):
        yield client


def installed(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        say("not run: {} is not installed".format(", ".join(missing)))
    return not missing
