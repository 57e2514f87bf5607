#!/bin/sh
# rag-platform · staging · plan 1ffa007e4f0a
# What `reconcile apply` runs, in order. Run by hand, nothing is locked, journalled or verified:
# `reconcile plan` afterwards shows what is left, `reconcile apply` records it.
#   APP_URL   URL of store app
#   GRAPH_PASSWORD   and password
#   GRAPH_URL   URL of store graph
#   GRAPH_USER   its user
#   VECTORS_API_KEY   its key, may be unset
#   VECTORS_URL   URL of store vectors
set -eu

green() { # URL KEY: wait until a collection is green, for WAIT seconds (3600); one that is red stops the script
  left=${WAIT:-3600}
  while told=$(curl -sS --fail-with-body "$1" -H "api-key: $2" 2>&1) || left=$((left - 60)); do
    case $told in *'"status":"green"'*) return 0 ;; *'"status":"red"'*) left=0 ;; esac
    [ "$left" -gt 0 ] || { echo "$1 is not green: $told" >&2; exit 3; }
    left=$((left - 1)); sleep 1; done; }

psql -X -q -v ON_ERROR_STOP=1 "$APP_URL" <<'SQL'
SET client_min_messages = warning; SET check_function_bodies = off;
BEGIN;
-- step 1: app.table.public.notes/1-create (expand)
SET lock_timeout = '2s';
SET statement_timeout = '60s';
CREATE TABLE "public"."notes" ("id" bigint, "body" text NOT NULL);
-- step 2: app.index.public.documents_embedding_hnsw/1-set (expand)
ALTER INDEX "public"."documents_embedding_hnsw" SET (m = 32);
COMMIT;
-- step 3: app.index.public.documents_embedding_hnsw/2-reindex (expand)  [builds-index, not-transactional]
SET lock_timeout = '0';
SET statement_timeout = '0';
REINDEX INDEX CONCURRENTLY "public"."documents_embedding_hnsw";
SQL

# step 4: vectors.collection.passages/1-update (expand)  [not-transactional]
curl -sS --fail-with-body -X PATCH "$VECTORS_URL"'/collections/passages?timeout=60' -H "api-key: ${VECTORS_API_KEY:-}" -H 'content-type: application/json' -d '{"hnsw_config": {"m": 32}}'
# then: wait green (collection it's)
green "$VECTORS_URL"/collections/it%27s "${VECTORS_API_KEY:-}"

cypher-shell -a "$GRAPH_URL" -u "$GRAPH_USER" -p "$GRAPH_PASSWORD" --fail-fast --non-interactive <<'CYPHER'
:begin
// step 5: graph.index.passage_text/1-replace (contract)  [index-gap]
:param {name: 'passage_text'};
DROP INDEX $name;
:param {name: 'passage_text', options: {indexConfig: {`fulltext.analyzer`: 'a\'b'}}};
CREATE FULLTEXT INDEX $name FOR (n:`Passage`) ON EACH [n.`text`] OPTIONS $options;
:commit
// then: wait online (name passage_text)
CALL db.awaitIndex('passage_text', 3600);
CYPHER
