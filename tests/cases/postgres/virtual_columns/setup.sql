insert into orders (net, vat) values (1, 2); insert into lines (a) values (1);
