INSERT INTO events SELECT n, n FROM generate_series(1, 99) n;
