INSERT INTO events VALUES (1, '2025-02-01', 'a'), (2, '2026-05-01', 'b'), (3, '2030-01-01', 'c');
INSERT INTO events_2020 (at) VALUES ('2020-05-05');
