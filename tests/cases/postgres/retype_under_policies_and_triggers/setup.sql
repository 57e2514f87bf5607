INSERT INTO documents (owner, size, tenant) VALUES ('a', 1, 'b');
