#!/bin/bash
# The replica: copies the primary where its own data folder is empty, then follows it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    export PGPASSWORD=$(cat /run/secrets/replicator_password)
    until pg_isready -q -h primary; do sleep 1; done
    pg_basebackup -h primary -U replicator -D "$PGDATA" -R -X stream -c fast
    # once promoted it has no standby to wait for, until one is named (docs/operations.md)
    echo "synchronous_standby_names = ''" >>"$PGDATA/postgresql.auto.conf"
fi
exec postgres "$@"
