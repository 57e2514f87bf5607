#!/bin/sh
# rag-platform · staging · plan ecf678c630f1
# What `reconcile apply` runs, in order. Run by hand, nothing is locked, journalled or verified:
# `reconcile plan` afterwards shows what is left, `reconcile apply` records it.
set -eu

# No changes.
