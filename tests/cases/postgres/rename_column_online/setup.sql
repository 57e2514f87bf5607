INSERT INTO users DEFAULT VALUES; INSERT INTO users DEFAULT VALUES;
INSERT INTO documents (path, user_id) SELECT 'p' || n, n % 2 + 1 FROM generate_series(1, 3000) n;
