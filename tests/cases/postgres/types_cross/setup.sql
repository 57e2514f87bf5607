INSERT INTO t (s2, s3, s4, s5) SELECT 'a', 'a', 'a', 'a' FROM generate_series(1, 40);
