"""The processes of all engines, started when first asked for, ended together."""

import engines
from client import Gone, Refused, Worker
from worker import LARGEST_TRIAL

HELLO_TIMEOUT = 120


class Team:
    def __init__(self, names, program, threads, work, registry=engines.find):
        self.names, self.program, self.threads, self.work, self.find = names, program, threads, work, registry
        self.running = {}  # name -> workers, one an environment; None where it could not be started
        self.fastest = {}  # name -> the worker chosen for this row
        self.choices = {}  # (name, row as its settings are tried) -> that worker, for larger batches

    def workers(self, name):
        """The live processes of an engine; one that ended is started again."""
        engine = self.find(name)
        found = self.running.setdefault(name, [None] * len(engine.environments))
        for index, extra in enumerate(engine.environments):
            if found[index] is None or found[index].process.poll() is not None:
                found[index] = self.start(engine, index, extra)
        return [worker for worker in found if worker is not None]

    def start(self, engine, index, extra):
        log = self.work / "log" / f"{engine.name}-{index}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        return Worker(engine.command(self.program), engine.environment(extra, self.threads, self.work), log)

    def versions(self, name):
        try:
            return self.workers(name)[0].ask({"do": "hello"}, HELLO_TIMEOUT)["versions"]
        except (Refused, Gone) as error:
            return {"unavailable": str(error)}

    def candidates(self, name, row):
        """The processes worth asking for this row: those of workers(), or the one that was quickest at the same length
        and the largest batch that settings are tried at."""
        live = self.workers(name)
        known = self.choices.get(self.key(name, row))
        return [known] if row.batch > LARGEST_TRIAL and known in live else live

    @staticmethod
    def key(name, row):
        return name, row.model, row.dtype, row.length, min(row.batch, LARGEST_TRIAL)

    def choose(self, name, row, worker):
        self.fastest[name] = self.choices[self.key(name, row)] = worker

    def chosen(self, name):
        return self.fastest[name]

    def close(self):
        for workers in self.running.values():
            for worker in workers:
                if worker is not None and worker.process.poll() is None:
                    worker.close()
