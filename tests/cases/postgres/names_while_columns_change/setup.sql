INSERT INTO doors SELECT n, 'd' || n, 'open', n FROM generate_series(1, 30) n;
