INSERT INTO sales (owner, net) VALUES ('a', 1), ('a', 2), ('b', 3);
REFRESH MATERIALIZED VIEW totals;
