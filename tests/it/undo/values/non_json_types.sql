-- PostgreSQL: types of the host's own, and values that JSON has no room for.
CREATE TYPE mood_{table} AS ENUM ('calm', 'it''s "so"', '');
CREATE TYPE pair_{table} AS (a INTEGER, b TEXT);
CREATE DOMAIN code_{table} AS CHAR(4) CHECK (VALUE <> 'none');
CREATE DOMAIN facts_{table} AS JSON;
CREATE TABLE {table} (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner BIGINT, exact NUMERIC, measure DOUBLE PRECISION, said TEXT, gone TEXT,
  spelt JSON, facts facts_{table}, tree JSONB, trees JSONB[], mood mood_{table}, moods mood_{table}[],
  pair pair_{table}, pairs pair_{table}[], code code_{table}, padded CHAR(6), padded_too CHAR(3)[], open BPCHAR, one "char", called NAME,
  bit BIT(4), bits BIT(3)[], below INTEGER[], deep FLOAT4[], price MONEY, "limit" NUMERIC(12, 4), lasts INTERVAL, daily TIMETZ, page XML,
  net CIDR, mac MACADDR, terms TSVECTOR, query TSQUERY, spans INT4MULTIRANGE, period TSTZRANGE, shape POLYGON, way PATH, short VARCHAR(3),
  class REGCLASS, snap PG_LSN);
ALTER TABLE {table} DROP COLUMN gone;
INSERT INTO {table} (owner, exact, measure, said, spelt, facts, tree, trees, mood, moods) VALUES
  (9, 1.10, '-0', 'NULL', '{ "b" : 1.0, "a":1e2, "b": 2 }', ' [1 ] ', 'null', ARRAY['null'::jsonb, NULL, '{"a": 1.50}'],
    'it''s "so"', ARRAY['', NULL, 'calm']::mood_{table}[]),
  (9, 0.000, 1e15, '', 'null', 'null', '"null"', '{}', '', '{}'),
  (9, 'Infinity', 123456789.123456789, E'\\N\t{"', '"a\u00e4"', '1.50', '{"a": [1.0, 2.50]}', NULL, NULL, NULL);
INSERT INTO {table} (owner, pair, pairs, code, padded, padded_too, open, one, called, bit, bits, below, deep) VALUES
  (9, ROW(NULL, NULL), ARRAY[ROW(1, 'a,"b"')::pair_{table}, NULL], 'ab', 'ab', ARRAY['a', NULL, 'abc'], 'ab   ', 'x', 'a name', B'0101',
    ARRAY[B'001', NULL], '[0:2]={1,NULL,3}', '[-1:0][5:6]={{0.1,-0},{NaN,1e30}}'),
  (9, ROW(1, ''), '{}', '', '', '{}', '', '', '', B'0000', '{}', '[5:5]={7}', '{}'),
  (9, ROW(NULL, 'x'), '[3:3]={NULL}', 'full', '  a ', NULL, '   ', ' ', NULL, B'1111', NULL, NULL, '{Infinity,-Infinity}');
INSERT INTO {table} (owner, price, "limit", lasts, daily, page, net, mac, terms, query, spans, period, shape, way, short, class, snap) VALUES
  (9, -1234.56, 1.10, '-1 year 2 mons -3 days +04:05:06.789', '10:11:12.13+05:45', '<a b="1"> <c/>text</a>', '10.1.0.0/16',
    '08:00:2b:01:02:03', 'a:1A b:2,3 ''it''''s'':4', 'a & !(b | c:*A)', '{[1,3),[5,)}', '[2026-01-02 03:04:05.000001+01,)',
    '((0,0),(0.1,1e-30),(-7,2))', '[(0,0),(1,2.5)]', 'abc', 'people', '16/B374D848'),
  (9, 0, -0.0001, '0.000001', '24:00:00-12', '', '0.0.0.0/0', '00:00:00:00:00:00', '', '', '{}', 'empty', '((1,1))', '((0,0),(1,1))', '',
    NULL, '0/0'),
  (9, NULL, 99999999.9999, '1000 years', NULL, '<!DOCTYPE a><a/>', NULL, NULL, 'spaces:1', NULL, NULL, '(,2026-01-01)', NULL, NULL, ' a ',
    'pg_class', NULL);
INSERT INTO {table} (owner) VALUES (9), (2);
