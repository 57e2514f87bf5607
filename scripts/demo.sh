#!/usr/bin/env bash
# The main job on real servers: plan, apply, plan again; a change by hand in each store; drift; undo it.
# Run by `make demo`. Needs `reconcile` on the PATH or in .venv; stops the servers it started, whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
[ -x .venv/bin/reconcile ] && export PATH="$root/.venv/bin:$PATH"

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' plain=$'\e[0m'
  export FORCE_COLOR=1 # what is run below writes to a pipe
fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# run CODE COMMAND…: show the command as a person would type it, run it, and insist on its exit code.
output=$(mktemp)
run() {
  local wanted=$1 code=0
  shift
  printf '%s$' "$bold"
  for word in "$@"; do
    case $word in
      *\'*) printf ' "%s"' "$word" ;;
      *[[:space:]\{\"\$]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '%s\n' "$plain"
  set +e
  "$@" 2>&1 | tee "$output"
  code=${PIPESTATUS[0]}
  set -e
  if [ "$code" != "$wanted" ]; then
    printf '\ndemo: exit code %s, but %s was expected\n' "$code" "$wanted" >&2
    exit 1
  fi
}

# expect TEXT: the last output must have it.
expect() {
  if ! grep -qF -- "$1" "$output"; then
    printf '\ndemo: the output above lacks "%s"\n' "$1" >&2
    exit 1
  fi
}

home=$(mktemp -d "${TMPDIR:-/tmp}/reconcile-demo.XXXXXX")
chmod 755 "$home"
trap 'rm -f "$output"; reconcile sandbox down --dir "$home/servers" --delete >/dev/null; rm -rf "$home"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Real PostgreSQL with pgvector, Neo4j and Qdrant, on this machine"
run 0 reconcile sandbox up --dir "$home/servers"
eval "$(reconcile sandbox env --dir "$home/servers")"
export APP_DATABASE_URL=$RECONCILE_SANDBOX_POSTGRES_URL NEO4J_URL=$RECONCILE_SANDBOX_NEO4J_URL \
  NEO4J_USER=$RECONCILE_SANDBOX_NEO4J_USER NEO4J_PASSWORD=$RECONCILE_SANDBOX_NEO4J_PASSWORD \
  QDRANT_URL=$RECONCILE_SANDBOX_QDRANT_URL

cd examples/rag-platform
by_hand=../../scripts/by_hand.py

say "What has to change so that the empty servers are as declared"
run 0 reconcile plan
expect "Plan: "

say "Do it"
run 0 reconcile apply --auto-approve
expect "Applied "
run 0 reconcile plan --detailed-exitcode
expect "No changes."

say "Somebody changes something by hand, in each store"
run 0 python "$by_hand" postgres "ALTER TABLE documents ALTER COLUMN language SET DEFAULT 'de'"
run 0 python "$by_hand" neo4j "DROP INDEX entity_kind_name"
run 0 python "$by_hand" qdrant PATCH /collections/passages__v1 '{"hnsw_config": {"m": 24}}'
run 2 reconcile drift
expect "app.column.public.documents.language"
expect "graph.index.entity_kind_name"
expect "vectors.collection.passages"

say "An apply does not undo that as a side effect"
run 1 reconcile apply --auto-approve
expect "reverts-drift"

say "Undo it expressly"
run 0 reconcile apply --auto-approve --allow reverts-drift
run 0 reconcile plan --detailed-exitcode
expect "No changes."
run 0 reconcile drift
expect "No drift."
run 0 reconcile status
say "Done."
