INSERT INTO owners VALUES (1); INSERT INTO items VALUES (1, 'a'), (2, 'a'), (3, 'b');
