#!/bin/bash
# Runs once, when the primary's data folder is made: the hotline's own role and database, a role that replicates, and who may come from where.
set -euo pipefail

hotline=$(cat /run/secrets/hotline_password)
replicator=$(cat /run/secrets/replicator_password)
psql -v ON_ERROR_STOP=1 -v hotline="$hotline" -v replicator="$replicator" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE hotline LOGIN PASSWORD :'hotline';
CREATE DATABASE hotline OWNER hotline;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator';
-- from the next start on: an act is acknowledged once the replica has it
ALTER SYSTEM SET synchronous_standby_names = 'replica';
SQL
echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
