INSERT INTO documents (size, state) SELECT CASE WHEN n % 3 > 0 THEN n::text ELSE '' END, 'ok' FROM generate_series(1, 100) n;
