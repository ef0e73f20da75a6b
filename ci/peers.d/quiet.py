"""Was the machine quiet during a burst? Two witnesses, neither of which looks at the burst's own times: the rate of a
register-only FMA loop before and after it, and the processor time that nobody of ours used meanwhile."""

import os
import time

LEAST_RATE = 0.95  # of the best rate seen in this run
MOST_FOREIGN = 0.05  # of all processors' time during the burst
TICKS = os.sysconf("SC_CLK_TCK")


def is_clean(rates, best, foreign):
    """Whether a burst counts, given the rates around it."""
    return min(rates) >= LEAST_RATE * best and foreign <= MOST_FOREIGN


def busy_seconds():
    """Processor time spent by everybody, a hypervisor's other guests (steal) included."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watch:
    """Runs bursts between two readings of the probe."""

    def __init__(self, probe, threads):
        self.probe, self.threads = probe, threads
        self.best = 0.0

    def rate(self):
        rate = self.probe.ask({"do": "probe", "threads": self.threads}, 60)["flops_per_s"]
        self.best = max(self.best, rate)
        return rate

    def settle(self, readings=25):
        """Half a second of readings: the best of them is what later ones are held against."""
        for _ in range(readings):
            self.rate()

    def during(self, worker, action):
        """(what `action` returns, whether the machine was quiet, [rate before, rate after], foreign share)."""
        before = self.rate()
        begin, busy, own = time.monotonic(), busy_seconds(), process_seconds(worker.pid)
        result = action()
        busy, own = busy_seconds() - busy, process_seconds(worker.pid) - own
        foreign = max(0.0, busy - own) / ((time.monotonic() - begin) * os.cpu_count())
        rates = [before, self.rate()]
        return result, is_clean(rates, self.best, foreign), rates, foreign
