#pragma once
/// The layout of a history, its versions and how one becomes the next. Internal to
/// reports/history/.
///
/// A history is an SQLite database with the application id "DFBH", and the version of its layout in
/// `PRAGMA user_version`. A new one is made by the same migrations that bring an old one up to
/// date, each in turn, all in one transaction: so there is one way to the present layout, and a
/// process that is killed amid it leaves the old one.
///
/// Version 2 (times in ns as in a record, instants in seconds since 1970, UTC):
///  - machine(id, digest, cpu_model, body): the fingerprint; digest over its deciding fields
///  - point(id, key, name, body)
///  - run(id, name, revision, at, started, machine, build, version, records, added): name is the
///    run's id in its file, `at` what runs are ordered by
///  - exact(id, body): a set of figures that do not vary, as JSON, each set once
///  - measurement(run, point, status, injected, median_ns .. ratio_high, rounds, exact)
///  - lines(run, bytes, digest, body): the run's lines as the run file holds them, with zstd; bytes
///    and digest (SHA-256) of what they are without
///
/// Version 1 had the exact figures in every measurement and the lines in `run`: twice the size
/// beside the lines, and a list of runs read through all of them.

#include "reports/history/database.hpp"

namespace deformer {

inline constexpr int kHistoryVersion = 2;

/// Makes an empty file a history, brings an older one up to date. Several processes may do so at
/// once: one does, the others find it done.
/// @throws BadInput when the file is another program's database, or a newer program's history.
void prepare_to_write(Database& database);

/// Whether the history has the present layout; what it holds is read the same either way only then.
/// @throws BadInput as prepare_to_write, and for an older layout (says to migrate it by writing).
void require_readable(Database& database);

}  // namespace deformer
