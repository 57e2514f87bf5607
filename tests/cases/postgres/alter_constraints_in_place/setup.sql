insert into users values (1, 'a', 'b c'); insert into posts values (1, 1, 'a');
