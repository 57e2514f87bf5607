INSERT INTO documents (path, size) SELECT 'p' || n, n FROM generate_series(1, 100) n;
