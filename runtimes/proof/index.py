"""What has to work in a clone: each feature of the runtime that needs more than its main thread's memory. The platform runs it
in a clone of each interpreter before it clones functions of it, and the soak runs one by lot in each of many clones."""
import asyncio
import concurrent.futures
import gc
import hashlib
import os
import random
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid
import zlib

MADE = random.random()


def numbers():
    assert random.random() != MADE
    assert len({uuid.uuid4().hex, secrets.token_hex(16), ssl.RAND_bytes(16).hex()}) == 3


def threads():
    found = []
    many = [threading.Thread(target=lambda: found.append(1)) for _ in range(8)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert len(found) == 8


def loop():
    async def main():
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(lambda: 42)

    assert asyncio.run(main()) == 42


def files():
    assert os.listdir("/tmp") == []
    with open("/tmp/file", "w") as file:
        file.write("text")
    with open("/tmp/file") as file:
        assert file.read() == "text"
    os.unlink("/tmp/file")


def program():
    assert subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout == b"hi\n"


def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def sockets():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        served, _ = server.accept()
        with served:
            client.sendall(b"ping")
            assert served.recv(4) == b"ping"


def memory():
    many = [{"n": n} for n in range(50_000)]
    assert gc.collect() >= 0 and len(many) == 50_000


def work():
    assert len(zlib.decompress(zlib.compress(b"a" * 10_000))) == 10_000
    assert len(hashlib.sha256(b"x" * 100_000).digest()) == 32
    time.sleep(0.001)


def signals():
    seen = []
    signal.signal(signal.SIGUSR2, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR2)
    assert seen == [signal.SIGUSR2]


def pool():
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(lambda n: n * n, range(20))) == 2470


FEATURES = [numbers, threads, loop, files, program, fork, sockets, memory, work, signals, pool]


def handler(event, context):
    assert os.getpid() == 1, "process number"
    for feature in FEATURES if event == "all" else [secrets.choice(FEATURES)]:
        try:
            feature()
        except Exception as error:
            raise RuntimeError(f"{feature.__name__}: {error!r}")
    return "ok"
