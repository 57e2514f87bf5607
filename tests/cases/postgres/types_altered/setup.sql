INSERT INTO letters (name, other, way, ways)
SELECT 'n' || n, 'o', '(s,z,c)'::postal, ARRAY['(s,z,c)']::postal[] FROM generate_series(1, 40) n;
