INSERT INTO jobs (state, owner) VALUES ('queued', NULL), ('done', 'a');
