INSERT INTO tenants VALUES ('a'), ('z');
INSERT INTO events VALUES ('2024-05-01', 'x');
