"""Celery over kombu's SQS transport: a worker beside its caller, results by a file."""

import os
import subprocess
import sys
import tempfile
import time

from celery import Celery

endpoint = os.environ["AWS_ENDPOINT_URL"]
app = Celery("celery_worker", broker=endpoint.replace("http://", "sqs://test:test@"))
app.conf.broker_transport_options = {
    "region": "us-east-1", "is_secure": False, "visibility_timeout": 30, "polling_interval": 0.1, "wait_time_seconds": 2,
}
app.conf.task_default_queue = "celery"
app.conf.broker_connection_retry_on_startup = True


@app.task(bind=True, max_retries=1)
def note(self, path, number):
    if number == 3 and self.request.retries == 0:
        raise self.retry(countdown=0)
    with open(path, "a") as file:
        file.write(f"{number}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notes")
        for number in range(8):
            note.delay(path, number)
        command = [sys.executable, "-m", "celery", "-A", "celery_worker", "worker", "--pool=solo", "--without-mingle", "--without-gossip", "-l", "WARNING"]
        worker = subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)))
        try:
            deadline = time.monotonic() + 60
            done = set()
            while done != set(range(8)):
                assert time.monotonic() < deadline and worker.poll() is None, f"only {done}"
                if os.path.exists(path):
                    with open(path) as file:
                        done = {int(line) for line in file}
                time.sleep(0.05)
        finally:
            worker.terminate()
            worker.wait(20)
