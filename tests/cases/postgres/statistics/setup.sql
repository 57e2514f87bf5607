insert into places select n, 'c' || n % 3, 'city' || n from generate_series(1, 20) n;
