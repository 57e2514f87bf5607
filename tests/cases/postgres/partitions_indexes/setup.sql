INSERT INTO chunks SELECT i, chr(97 + i % 2), '[1,2,3]' FROM generate_series(1, 300) i;
CREATE INDEX chunks_half ON ONLY chunks (lower(tenant), id);
CREATE INDEX chunks_a_lower_id_idx ON chunks_a (lower(tenant), id);
ALTER INDEX chunks_half ATTACH PARTITION chunks_a_lower_id_idx;
CREATE INDEX made_by_hand ON chunks_b_0 (lower(tenant), id);
