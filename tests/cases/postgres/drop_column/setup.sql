INSERT INTO documents (path, size, lang) SELECT 'p' || n, n, 'en' FROM generate_series(1, 100) n;
