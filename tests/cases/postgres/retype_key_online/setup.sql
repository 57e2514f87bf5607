INSERT INTO documents (parent_id) SELECT nullif(n / 2, 0) FROM generate_series(1, 1500) n;
INSERT INTO notes SELECT n FROM generate_series(1, 1500) n;
