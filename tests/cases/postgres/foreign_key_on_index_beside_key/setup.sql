insert into users values (1, 'a'); insert into posts values ('a');
