INSERT INTO people (note) SELECT 'x' FROM generate_series(1, 7);
INSERT INTO before VALUES (1, 1);
INSERT INTO counted DEFAULT VALUES;
