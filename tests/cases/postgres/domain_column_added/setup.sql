CREATE TABLE t (id bigint);
INSERT INTO t SELECT generate_series(1, 20);
