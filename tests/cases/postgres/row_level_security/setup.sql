INSERT INTO documents (tenant) VALUES ('a'), ('b');
