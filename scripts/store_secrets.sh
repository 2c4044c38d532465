#!/usr/bin/env bash
# Make what docker-compose.yml's MongoDB members and their hub need to know of each other, in a folder that is not there yet.
#   scripts/store_secrets.sh FOLDER
set -euo pipefail
folder=${1:?name the folder to make}
umask 077
mkdir "$folder"
openssl rand -base64 756 >"$folder/key"
openssl rand -hex 24 >"$folder/root_password"
openssl rand -hex 24 >"$folder/hub_password"
printf 'mongodb://yitong:%s@db1,db2,db3/yitong?replicaSet=rs0&authSource=admin\n' "$(cat "$folder/hub_password")" >"$folder/store"
# Readable in the containers, whose accounts are others; the folder itself stays the maker's alone.
chmod 644 "$folder"/*
