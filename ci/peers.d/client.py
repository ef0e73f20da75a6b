"""The driver's end of a worker: starts the process, asks, and keeps it stopped whenever nothing is asked.

A stopped process burns nothing, however its threads like to wait (OpenMP's spin between two forwards, which must stay:
it is part of being fast within a burst)."""

import json
import os
import select
import signal
import subprocess
import time


class Refused(Exception):
    """The worker answered that it cannot; the message is its reason."""


class Gone(Exception):
    """The worker ended, or did not answer in time: it is of no further use."""


class Worker:
    def __init__(self, command, environment, log):
        self.log = str(log)
        with open(log, "ab") as errors:
            # A session of its own, so that whatever it starts (a compiler) is stopped and ended with it.
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            env=environment, start_new_session=True)
        self.buffer = b""

    @property
    def pid(self):
        return self.process.pid

    def ask(self, message, timeout):
        """The reply to one message. @raises Refused, Gone"""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
            reply = json.loads(self.read_line(time.monotonic() + timeout))
        except (BrokenPipeError, ValueError) as error:
            self.close()
            raise Gone(f"expected a line of JSON to '{message['do']}', found {error!r}; see {self.log}")
        except Gone:
            self.close()
            raise
        self.signal(signal.SIGSTOP)
        if not reply.pop("ok", False):
            raise Refused(reply.get("reason", "no reason given"))
        return reply

    def read_line(self, deadline):
        out = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise Gone(f"no answer in time; see {self.log}")
            data = os.read(out, 1 << 20)
            if not data:
                raise Gone(f"the process ended with code {self.process.wait()}; see {self.log}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def signal(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it ended: reading its answer says so

    def close(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
