#!/usr/bin/env bash
# The performance gate in any shell: builds the base beside the head, measures both by turns, judges head.
#   ci/recipes/gate.sh BASE_REVISION
# Exit codes are those of `gate measure`: 0 PASS or IMPROVED; 1 REGRESSED or INVALID; 4 MISSING, INCOMPARABLE or
# AMBIGUOUS; 2 usage or set-up. Leaves out/gate/{rounds.jsonl,summary.md,junit.xml}. From the environment:
#   GATE_POINTS     what is measured, as for `sweep`     (--model bert-tiny,minilm-l6 --task squad --threads 1)
#   GATE_MAX_TIME   seconds a point                      (60)
#   GATE_OPTIONS    more options of `gate measure`       (none)
#   GATE_HISTORY    a history to add head's run to       (none)
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
if [[ $# -ne 1 ]]; then
  echo "gate.sh: expected the revision to compare with, found $# arguments: ci/recipes/gate.sh origin/main" >&2
  exit 2
fi
base_revision=$(git rev-parse --verify --quiet "$1^{commit}") || {
  echo "gate.sh: expected a revision of this repository, found '$1'; was it fetched (fetch-depth: 0)?" >&2
  exit 2
}
read -r -a points <<<"${GATE_POINTS:---model bert-tiny,minilm-l6 --task squad --threads 1}"
read -r -a options <<<"${GATE_OPTIONS:-}"

ci/setup
ci/build release deformer-bench
base=$PWD/out/gate/base
mkdir -p out/gate
rm -f out/gate/rounds.jsonl out/gate/summary.md out/gate/junit.xml
git worktree remove --force "$base" 2>/dev/null || rm -rf "$base"
git worktree prune
git worktree add --quiet --detach "$base" "$base_revision"
if [[ -d .venv && ! -e $base/.venv ]]; then
  ln -s "$PWD/.venv" "$base/.venv"  # the pieces that ci/setup has put there, for the build of base too
fi
(cd "$base" && ci/build release deformer-bench)

program=build/release/deformer-bench
build_of() { "$1" --version | sed -n 's/^build //p'; }
if [[ "$(build_of "$program")" == "$(build_of "$base/$program")" ]]; then
  echo "gate.sh: base and head are the same build $(build_of "$program"): nothing to judge" | tee out/gate/summary.md
  exit 0
fi

code=0
"$program" gate measure --base "$base/$program" --head "$program" "${points[@]}" --max-time "${GATE_MAX_TIME:-60}" \
  -o out/gate/rounds.jsonl --summary out/gate/summary.md --junit out/gate/junit.xml "${options[@]}" || code=$?
if [[ -n "${GATE_HISTORY:-}" && -s out/gate/rounds.jsonl ]]; then
  "$program" gate history add out/gate/rounds.jsonl --db "$GATE_HISTORY" --revision "$(git rev-parse HEAD)" \
    --date "$(git show -s --format=%cI HEAD)"
  "$program" gate history changes --db "$GATE_HISTORY" --format markdown >>out/gate/summary.md
fi
exit "$code"
