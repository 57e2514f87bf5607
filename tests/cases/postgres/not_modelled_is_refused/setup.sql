CREATE TABLE documents (id bigint) PARTITION BY RANGE (id);
