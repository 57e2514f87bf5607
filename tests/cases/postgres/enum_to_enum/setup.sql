INSERT INTO doors (id) VALUES (1);
