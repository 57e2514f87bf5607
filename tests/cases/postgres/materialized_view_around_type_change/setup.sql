INSERT INTO sales (owner, gone) VALUES ('a', 'b');
REFRESH MATERIALIZED VIEW ids;
