#!/bin/sh
# Starts Patroni with the passwords of the secrets; once, on the first node, makes the service's login (patroni.yml calls it).
set -eu
case "$1" in
  start)
    PATRONI_SUPERUSER_PASSWORD=$(cat /run/secrets/postgres_password)
    PATRONI_REPLICATION_PASSWORD=$(cat /run/secrets/replication_password)
    export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD
    exec patroni /etc/patroni/patroni.yml
    ;;
  login)
    LOGIN_PASSWORD=$(cat /run/secrets/fieldsvc_password)
    export LOGIN_PASSWORD
    exec psql --no-psqlrc --set ON_ERROR_STOP=1 --file /etc/patroni/patroni_login.sql "$2"
    ;;
esac
