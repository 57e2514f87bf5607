insert into bookings values (1, '[1,3]'), (2, '[2,4]'), (3, '[9,9]');
