CREATE DOMAIN code AS text;
CREATE TABLE t (id bigint, code code, codes code[]);
INSERT INTO t SELECT n, CASE WHEN n > 3 THEN 'ok' END, '{a,b}' FROM generate_series(1, 20) n;
