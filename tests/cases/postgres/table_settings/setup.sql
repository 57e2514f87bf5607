insert into events select n, 'k' || n, 'b' from generate_series(1, 10) n; insert into cache values (1, 'x'); insert into sessions values (1, 1);
