INSERT INTO users SELECT FROM generate_series(1, 5);
INSERT INTO documents (path, size, user_id) SELECT 'p' || n, n, n % 5 + 1 FROM generate_series(1, 2500) n;
