insert into people values ('a', 'b', 'c', null, 'e');
