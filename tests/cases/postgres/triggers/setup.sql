INSERT INTO documents (path) VALUES ('a');
