CREATE DOMAIN email AS text CHECK (value ~ '@') CONSTRAINT other CHECK (length(value) < 50);
