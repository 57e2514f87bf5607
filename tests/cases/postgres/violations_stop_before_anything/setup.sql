INSERT INTO teams VALUES (1);
INSERT INTO users VALUES (1, 'a@example.org', 20, 1), (2, 'a@example.org', -1, 2), (3, NULL, NULL, NULL);
