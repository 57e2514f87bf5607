INSERT INTO documents (id, path) SELECT n, 'f' || n || '/x' FROM generate_series(1, 50) n;
GRANT SELECT ON folders TO public;
