-- A history as layout 1 kept it: exact figures in every measurement, the lines of a run in `run`.
-- The test fills in bytes and body of the run's lines, which zstd makes.
CREATE TABLE machine(id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, cpu_model TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE point(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE run(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision TEXT NOT NULL,
  at INTEGER NOT NULL, started TEXT NOT NULL, machine INTEGER NOT NULL REFERENCES machine(id),
  build TEXT NOT NULL, version TEXT NOT NULL, records INTEGER NOT NULL, added INTEGER NOT NULL,
  bytes INTEGER NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE measurement(run INTEGER NOT NULL REFERENCES run(id),
  point INTEGER NOT NULL REFERENCES point(id), status TEXT NOT NULL, injected INTEGER NOT NULL,
  median_ns REAL, ci_low_ns REAL, ci_high_ns REAL, ratio REAL, ratio_low REAL, ratio_high REAL,
  rounds INTEGER, flops REAL, flops_issued REAL, bytes_weights REAL, bytes_requested REAL,
  bytes_cache_passage REAL, requested_bytes REAL, PRIMARY KEY(run, point)) WITHOUT ROWID;
INSERT INTO machine VALUES(1, 'bcb762e9582a0fb4db0665bf08cf519b3b8e4073a12f2fbb4e0837e26404126f', 'A', '{"cpu_model":"A","cores":2}');
INSERT INTO point VALUES(1, 'key-full9', 'bert-base/squad/full9', '{}');
INSERT INTO point VALUES(2, 'key-cached9', 'bert-base/squad/cached9', '{}');
INSERT INTO run VALUES(1, 'old', 'abc', 1767182400, '2025-12-31T12:00:00Z', 1, 'bold', '0.1.0', 2,
  1767182401, 0, 'LINES', x'');
INSERT INTO measurement VALUES(1, 1, 'ok', 0, 300.0, 299.0, 301.0, NULL, NULL, NULL, 22, 3200.0,
  3200.0, 64.0, NULL, 0.0, 512.0);
INSERT INTO measurement VALUES(1, 2, 'ok', 0, 100.0, 99.0, 101.0, 3.0, 2.97, 3.03, 22, 1000.0,
  1000.0, 64.0, NULL, 128.0, 512.0);
PRAGMA application_id = 1145455176;
PRAGMA user_version = 1;
