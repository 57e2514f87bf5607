INSERT INTO t (b) SELECT n FROM generate_series(1, 20) n;
