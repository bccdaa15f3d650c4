#!/bin/sh
# Writes CSV and text with PostgreSQL and SQLite: databases.sh FOLDER. Needs initdb and pg_ctl (not as root), psql, sqlite3.
set -eu
to=$1 base=$(mktemp -d)
export PGHOST=$base PGPORT=54329 PGDATABASE=postgres PGUSER=seqcols
initdb -D "$base/data" -U seqcols -E UTF8 --locale=C > /dev/null
pg_ctl -D "$base/data" -w -o "-k $base -h '' -p $PGPORT -c timezone=UTC" -l "$base/log" start > /dev/null
trap 'pg_ctl -D "$base/data" -w stop > /dev/null; rm -r "$base"' EXIT
psql -q << 'SQL'
create table rows (id bigint, flag boolean, price numeric(10, 2), day date, at timestamptz, name text, items int[], words text[], nested int[][], home jsonb);
insert into rows values
  (1, true, 12.34, '2024-02-29', '2024-02-29 12:30:15.25+00', 'say "hi", ü', '{12, 7}', array['a', 'b c', 'd"e', null], '{{1, 2}, {3, 4}}', '{"city": "Oslo"}'),
  (2, false, null, null, null, '', '{}', '{}', null, null),
  (3, null, null, null, null, null, null, null, null, null);
SQL
psql -q -c "copy rows to stdout (format csv, header)" > "$to/copy.csv"
psql -q -c "copy rows to stdout (format csv, header, delimiter ';', null '\N')" > "$to/marked.csv"
psql -q -c "copy rows to stdout" > "$to/copy.txt"
psql -qAt -c "select row_to_json(rows) from rows" > "$to/rows.json"
psql -qAt -c "select json_agg(rows) from rows" > "$to/agg.json"
psql -q -c "copy (select id, to_json(items) items, to_json(words) words, to_json(nested) nested from rows) to stdout (format csv, header)" > "$to/json.csv"
psql -q -c "copy rows to stdout (format binary)" > "$to/copy.bin"
pg_dump -t rows > "$to/dump.sql"
sqlite3 "$to/rows.sqlite" "create table rows (id integer, name text); insert into rows values (1, 'say \"hi\", ü'), (2, null)"
sqlite3 -header -csv "$to/rows.sqlite" "select * from rows" > "$to/sqlite.csv"
sqlite3 -json "$to/rows.sqlite" "select * from rows" > "$to/sqlite.json"
